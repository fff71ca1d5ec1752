// Songline on Azure: `azd provision` deploys this file. docs/deploy.md says what it costs, and how it is run.
targetScope = 'subscription'

@minLength(1)
@maxLength(32)
@description('Name of the azd environment; it is part of the resource group\'s name.')
param environmentName string

@minLength(1)
@description('Region of everything.')
param location string

@allowed(['Standard', 'Premium'])
@description('Tier of Event Hubs. Standard has hubs of at most 32 partitions, and 1 MB an event.')
param eventHubsTier string = 'Standard'

@minValue(1)
@maxValue(40)
@description('Throughput units (Standard) or processing units (Premium) to begin with.')
param throughputUnits int = 1

@minValue(0)
@maxValue(40)
@description('Up to how many throughput units Event Hubs grows by itself; 0: not at all. Standard only.')
param maximumThroughputUnits int = 4

@minValue(0)
@maxValue(32)
@description('Partitions of the hubs that have more than one; 0: as declared. In Standard they can never be changed.')
param partitions int = 0

@allowed(['Standard', 'Premium'])
@description('Tier of Service Bus. Premium takes messages of 100 MB, so that songs need no claim check.')
param serviceBusTier string = 'Standard'

@allowed(['serverless', 'autoscale'])
@description('How Cosmos DB is paid for. An account can\'t be changed from one to the other.')
param cosmosCapacity string = 'autoscale'

@minValue(1000)
@description('Request units a second up to which the database scales, shared by its containers. With autoscale only.')
param cosmosRequestUnits int = 4000

@description('Containers of further versions of projections: {container, name}, such as {container: \'charts\', name: \'charts-v2\'}.')
param versions array = []

@description('Address of the issuer of access tokens, and the audience that tokens have to name.')
param issuer string
param audience string = 'songline'

@description('The claim that says whom a token is about; empty: sub. Of Entra: oid.')
param subjectClaim string = ''

@description('What needs no token, some of charts, songs, page, docs, with commas between.')
param open string = ''

@allowed(['on', 'off'])
@description('Whether the API offers erasure and export of listeners.')
param erasures string = 'off'

@description('The client that the page is at the issuer; empty: nobody signs in on the page.')
param pageClientId string = ''
@secure()
param pageClientSecret string = ''
@description('What the page asks users for, with spaces between; empty: the scopes of listeners by their bare names.')
param pageScopes string = ''
@description('32 random bytes in base64url that seal the page\'s cookies.')
@secure()
param sessionKey string = ''

@description('32 random bytes in base64url that seal tokens of players which send salted digests; empty: none of these.')
@secure()
param tokenKey string = ''

@description('A client of Entra by which KEDA asks for the lag over Kafka; empty: as many trending workers as trendingWorkers says.')
param kafkaScalerClientId string = ''
@secure()
param kafkaScalerClientSecret string = ''

@minValue(1)
@maxValue(32)
@description('Trending workers, and with a Kafka scaler at most. More than partitions have nothing to do.')
param trendingWorkers int = 1

@allowed([1, 2, 4])
@description('Virtual cores of a trending worker, each with 2 GiB for its share of a week of actions.')
param trendingCores int = 1

@minValue(0)
@description('Replicas of the API while nobody asks it. 0: the first request waits for a start.')
param apiReplicas int = 1

@minValue(1)
@maxValue(1000)
@description('Replicas of the API at most.')
param apiMaximum int = 8

@minValue(1)
@maxValue(1000)
@description('Ingestion workers at most.')
param ingestionMaximum int = 4

@description('Proxies whose X-Forwarded-For the API believes: those of Container Apps.')
param proxies string = '100.100.0.0/16'

@minValue(0)
@description('Months cost at most so much, in the currency of the subscription, or mails are sent; 0: no budget.')
param monthlyBudget int = 0
param budgetContacts array = []
@description('First day of the budget, the first of a month. Azure refuses another one once it is there: azd fills it in.')
param budgetStart string = ''
@description('The month of this deployment.')
param month string = utcNow('yyyy-MM-01')

@description('Images that were deployed before, by process. azd fills them in; empty ones begin with a placeholder.')
param images object = {}

var budgetBegins = empty(budgetStart) ? month : budgetStart
var tags = { 'azd-env-name': environmentName }

resource group 'Microsoft.Resources/resourceGroups@2024-11-01' = {
  name: 'rg-songline-${environmentName}'
  location: location
  tags: tags
}

module songline 'songline.bicep' = {
  name: 'songline'
  scope: group
  params: {
    location: location
    tags: tags
    suffix: uniqueString(subscription().id, environmentName, location)
    eventHubsTier: eventHubsTier
    throughputUnits: throughputUnits
    maximumThroughputUnits: maximumThroughputUnits
    partitions: partitions
    serviceBusTier: serviceBusTier
    cosmosCapacity: cosmosCapacity
    cosmosRequestUnits: cosmosRequestUnits
    versions: versions
    issuer: issuer
    audience: audience
    subjectClaim: subjectClaim
    open: open
    erasures: erasures
    pageClientId: pageClientId
    pageClientSecret: pageClientSecret
    pageScopes: pageScopes
    sessionKey: sessionKey
    tokenKey: tokenKey
    kafkaScalerClientId: kafkaScalerClientId
    kafkaScalerClientSecret: kafkaScalerClientSecret
    trendingWorkers: trendingWorkers
    trendingCores: trendingCores
    apiReplicas: apiReplicas
    apiMaximum: apiMaximum
    ingestionMaximum: ingestionMaximum
    proxies: proxies
    monthlyBudget: monthlyBudget
    budgetContacts: budgetContacts
    budgetStart: budgetBegins
    images: images
  }
}

output AZURE_RESOURCE_GROUP string = group.name
output AZURE_CONTAINER_REGISTRY_ENDPOINT string = songline.outputs.registry
output AZURE_EVENTHUB_FULLYQUALIFIEDNAMESPACE string = songline.outputs.eventHubs
output AZURE_SERVICEBUS_FULLYQUALIFIEDNAMESPACE string = songline.outputs.serviceBus
output AZURE_COSMOS_RESOURCEENDPOINT string = songline.outputs.cosmos
output AZURE_STORAGEBLOB_RESOURCEENDPOINT string = songline.outputs.blobs
output AZURE_EVENTGRID_TOPIC_ENDPOINT string = songline.outputs.topicEndpoint
output AZURE_EVENTGRID_TOPIC_RESOURCEID string = songline.outputs.topic
output AZURE_STORAGE_RESOURCEID string = songline.outputs.storage
output SONGLINE_BUDGET_START string = monthlyBudget > 0 ? budgetBegins : ''
output SONGLINE_API string = songline.outputs.api

// The resource group: services, identities with their rights, and container apps.
param location string
param tags object
param suffix string
param eventHubsTier string
param throughputUnits int
param maximumThroughputUnits int
param partitions int
param serviceBusTier string
param cosmosCapacity string
param cosmosRequestUnits int
param versions array
param issuer string
param audience string
param subjectClaim string
param open string
param erasures string
param pageClientId string
@secure()
param pageClientSecret string
param pageScopes string
@secure()
param sessionKey string
@secure()
param tokenKey string
param kafkaScalerClientId string
@secure()
param kafkaScalerClientSecret string
param trendingWorkers int
param trendingCores int
param apiReplicas int
param apiMaximum int
param ingestionMaximum int
param proxies string
param monthlyBudget int
param budgetContacts array
param budgetStart string
param images object

module identities 'identities.bicep' = {
  name: 'identities'
  params: { location: location, tags: tags, suffix: suffix }
}

module storage 'storage.bicep' = {
  name: 'storage'
  params: {
    location: location
    tags: tags
    suffix: suffix
    principals: identities.outputs.principals
    capturePrincipal: identities.outputs.capturePrincipal
  }
}

module eventHubs 'eventhubs.bicep' = {
  name: 'eventhubs'
  params: {
    location: location
    tags: tags
    suffix: suffix
    tier: eventHubsTier
    throughputUnits: throughputUnits
    maximumThroughputUnits: maximumThroughputUnits
    partitions: partitions
    principals: identities.outputs.principals
    captureIdentity: identities.outputs.captureIdentity
    // Not before Capture may write there.
    storageAccount: storage.outputs.account
  }
}

module eventGrid 'eventgrid.bicep' = {
  name: 'eventgrid'
  params: {
    location: location
    tags: tags
    suffix: suffix
    principals: identities.outputs.principals
    storageName: storage.outputs.name
  }
}

module serviceBus 'servicebus.bicep' = {
  name: 'servicebus'
  params: {
    location: location
    tags: tags
    suffix: suffix
    tier: serviceBusTier
    principals: identities.outputs.principals
  }
}

module cosmos 'cosmos.bicep' = {
  name: 'cosmos'
  params: {
    location: location
    tags: tags
    suffix: suffix
    capacity: cosmosCapacity
    requestUnits: cosmosRequestUnits
    versions: versions
    principals: identities.outputs.principals
  }
}

module monitoring 'monitoring.bicep' = {
  name: 'monitoring'
  params: {
    location: location
    tags: tags
    suffix: suffix
    monthlyBudget: monthlyBudget
    budgetContacts: budgetContacts
    budgetStart: budgetStart
  }
}

module apps 'apps.bicep' = {
  name: 'apps'
  params: {
    location: location
    tags: tags
    suffix: suffix
    workspace: monitoring.outputs.workspace
    identities: identities.outputs.identities
    clients: identities.outputs.clients
    principals: identities.outputs.principals
    eventHubsNamespace: eventHubs.outputs.namespace
    eventHubsHost: eventHubs.outputs.host
    serviceBusNamespace: serviceBus.outputs.namespace
    serviceBusHost: serviceBus.outputs.host
    topicEndpoint: eventGrid.outputs.endpoint
    cosmosEndpoint: cosmos.outputs.endpoint
    storageName: storage.outputs.name
    blobEndpoint: storage.outputs.endpoint
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
    partitions: partitions
    images: images
  }
}

output registry string = apps.outputs.registry
output api string = apps.outputs.api
output eventHubs string = eventHubs.outputs.host
output serviceBus string = serviceBus.outputs.host
output cosmos string = cosmos.outputs.endpoint
output blobs string = storage.outputs.endpoint
output topicEndpoint string = eventGrid.outputs.endpoint
output topic string = eventGrid.outputs.topic
output storage string = storage.outputs.account

// Container apps: one for each process, all of the same image.
param location string
param tags object
param suffix string
param workspace string
param identities array
param clients array
param principals array
param eventHubsNamespace string
param eventHubsHost string
param serviceBusNamespace string
param serviceBusHost string
param topicEndpoint string
param cosmosEndpoint string
param storageName string
param blobEndpoint string
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
param partitions int
param images object

var declaration = loadJsonContent('declaration.json')
var places = toObject(range(0, length(declaration.processes)), i => declaration.processes[i])
var musicEvents = filter(declaration.hubs, hub => hub.name == 'music-events')[0]
var tenant = subscription().tenantId
var names = toObject(declaration.processes, process => process, process => 'ca-${process}-${suffix}')

// Azure's own role AcrPull.
var pull = '7f951dda-4ed3-4680-a7ca-43fe172d538d'

resource registry 'Microsoft.ContainerRegistry/registries@2025-11-01' = {
  name: 'cr${suffix}'
  location: location
  tags: tags
  sku: { name: 'Basic' }
  properties: { adminUserEnabled: false }
}

resource pulls 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for (process, i) in declaration.processes: {
  scope: registry
  name: guid(registry.id, process, 'pull')
  properties: {
    principalId: principals[i]
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', pull)
  }
}]

resource managed 'Microsoft.App/managedEnvironments@2026-01-01' = {
  name: 'cae-${suffix}'
  location: location
  tags: tags
  properties: {
    // By diagnostic settings, so that no key of the workspace is needed.
    appLogsConfiguration: { destination: 'azure-monitor' }
    workloadProfiles: [{ name: 'Consumption', workloadProfileType: 'Consumption' }]
  }
}

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: managed
  name: 'logs'
  properties: {
    workspaceId: workspace
    logs: [{ categoryGroup: 'allLogs', enabled: true }]
  }
}

var services = [
  { name: 'AZURE_EVENTHUB_FULLYQUALIFIEDNAMESPACE', value: eventHubsHost }
  { name: 'AZURE_SERVICEBUS_FULLYQUALIFIEDNAMESPACE', value: serviceBusHost }
  { name: 'AZURE_COSMOS_RESOURCEENDPOINT', value: cosmosEndpoint }
  { name: 'AZURE_STORAGEBLOB_RESOURCEENDPOINT', value: blobEndpoint }
]
// Workers lag by events that are not under a checkpoint yet. A partition without a checkpoint and with a single event
// counts 0 in KEDA where events were deleted before, so one replica stays.
var lag = {
  eventHubName: musicEvents.name
  eventHubNamespace: eventHubsNamespace
  storageAccountName: storageName
  blobContainer: 'checkpoints'
  checkpointStrategy: 'blobMetadata'
  unprocessedEventThreshold: '5000'
}
// More replicas than partitions have nothing to read.
var partitionCount = partitions > 0 ? partitions : musicEvents.partitions
var kafkaLag = empty(kafkaScalerClientId) ? [] : [
  {
    name: 'kafka-lag'
    custom: {
      type: 'kafka'
      metadata: {
        bootstrapServers: '${eventHubsHost}:9093'
        consumerGroup: 'songline-trending'
        topic: musicEvents.name
        lagThreshold: '20000'
        offsetResetPolicy: 'earliest'
        tls: 'enable'
        sasl: 'oauthbearer'
        scopes: 'https://${eventHubsHost}/.default'
        oauthTokenEndpointUri: '${environment().authentication.loginEndpoint}${tenant}/oauth2/v2.0/token'
      }
      auth: [
        { secretRef: 'kafka-scaler-client', triggerParameter: 'username' }
        { secretRef: 'kafka-scaler-secret', triggerParameter: 'password' }
      ]
    }
  }
]

module workers 'app.bicep' = [for worker in [
  {
    name: 'trending'
    port: 8001
    cpu: '${trendingCores}.0'
    memory: '${trendingCores * 2}Gi'
    min: empty(kafkaScalerClientId) ? trendingWorkers : 1
    max: trendingWorkers
    rules: kafkaLag
    secrets: empty(kafkaScalerClientId) ? {} : {
      'kafka-scaler-client': kafkaScalerClientId
      'kafka-scaler-secret': kafkaScalerClientSecret
    }
    env: []
  }
  {
    name: 'catalog'
    port: 8002
    cpu: '0.5'
    memory: '1Gi'
    min: 1
    max: partitionCount
    rules: [{ name: 'lag', custom: { type: 'azure-eventhub', identity: identities[places.catalog], metadata: union(lag, { consumerGroup: 'songline-catalog' }) } }]
    secrets: {}
    env: []
  }
  {
    name: 'library'
    port: 8004
    cpu: '0.5'
    memory: '1Gi'
    min: 1
    max: partitionCount
    rules: [{ name: 'lag', custom: { type: 'azure-eventhub', identity: identities[places.library], metadata: union(lag, { consumerGroup: 'songline-library' }) } }]
    secrets: {}
    env: []
  }
  {
    name: 'broadcast'
    port: 8005
    cpu: '0.25'
    memory: '0.5Gi'
    min: 1
    max: partitionCount
    rules: [{ name: 'lag', custom: { type: 'azure-eventhub', identity: identities[places.broadcast], metadata: union(lag, { consumerGroup: 'songline-broadcast' }) } }]
    secrets: {}
    env: [{ name: 'AZURE_EVENTGRID_TOPIC_ENDPOINT', value: topicEndpoint }]
  }
  {
    // One stays: it also mends what crashes left, and carries out erasures, for which no message comes.
    name: 'ingestion'
    port: 8003
    cpu: '1.0'
    memory: '2Gi'
    min: 1
    max: ingestionMaximum
    rules: [{ name: 'depth', custom: { type: 'azure-servicebus', identity: identities[places.ingestion], metadata: { queueName: 'song-commands', namespace: serviceBusNamespace, messageCount: '20' } } }]
    secrets: {}
    env: [{ name: 'SONGLINE_ERASURE_RETENTION_H', value: string(musicEvents.retentionH) }]
  }
]: {
  name: 'app-${worker.name}'
  params: {
    location: location
    tags: union(tags, { 'azd-service-name': worker.name })
    name: names[worker.name]
    environmentId: managed.id
    identity: identities[places[worker.name]]
    registry: registry.properties.loginServer
    image: contains(images, worker.name) ? images[worker.name] : ''
    port: worker.port
    external: false
    cpu: worker.cpu
    memory: worker.memory
    minReplicas: worker.min
    maxReplicas: worker.max
    rules: worker.rules
    secrets: worker.secrets
    // A worker that is behind is not ready and still has to run: only a hung one is started again.
    readinessPath: ''
    env: concat(services, worker.env, [
      { name: 'SONGLINE_PROCESS', value: worker.name }
      { name: 'AZURE_CLIENT_ID', value: clients[places[worker.name]] }
      // A container that is started again finds there what it owned.
      { name: 'SONGLINE_DATA', value: '/data' }
      { name: 'SONGLINE_${toUpper(worker.name)}_HOST', value: '0.0.0.0' }
      { name: 'SONGLINE_${toUpper(worker.name)}_PORT', value: string(worker.port) }
    ])
  }
  dependsOn: [pulls]
}]

var signsIn = !empty(pageClientId)
var apiHost = '${names.api}.${managed.properties.defaultDomain}'

module api 'app.bicep' = {
  name: 'app-api'
  params: {
    location: location
    tags: union(tags, { 'azd-service-name': 'api' })
    name: names.api
    environmentId: managed.id
    identity: identities[places.api]
    registry: registry.properties.loginServer
    image: contains(images, 'api') ? images.api : ''
    port: 8000
    external: true
    cpu: '1.0'
    memory: '2Gi'
    minReplicas: apiReplicas
    maxReplicas: apiMaximum
    rules: [{ name: 'requests', http: { metadata: { concurrentRequests: '50' } } }]
    readinessPath: '/health/ready'
    secrets: union(signsIn ? {
      'page-client-secret': pageClientSecret
      'session-key': sessionKey
    } : {}, empty(tokenKey) ? {} : { 'token-key': tokenKey })
    env: concat(services, [
      { name: 'SONGLINE_PROCESS', value: 'api' }
      { name: 'SONGLINE_API_HOST', value: '0.0.0.0' }
      { name: 'SONGLINE_API_PORT', value: '8000' }
      { name: 'AZURE_CLIENT_ID', value: clients[places.api] }
      { name: 'SONGLINE_AUTH', value: 'on' }
      { name: 'SONGLINE_ISSUER', value: issuer }
      { name: 'SONGLINE_AUDIENCE', value: audience }
      { name: 'SONGLINE_ERASURES', value: erasures }
      { name: 'SONGLINE_HOSTS', value: apiHost }
      { name: 'SONGLINE_PROXIES', value: proxies }
      // It lives as long as the replica, a restart of the container included.
      { name: 'SONGLINE_OUTBOX', value: '/data/outbox.db' }
      { name: 'SONGLINE_TRENDING', value: 'http://${names.trending}' }
      { name: 'SONGLINE_CATALOG', value: 'http://${names.catalog}' }
      { name: 'SONGLINE_INGESTION', value: 'http://${names.ingestion}' }
      { name: 'SONGLINE_LIBRARY', value: 'http://${names.library}' }
    ], empty(open) ? [] : [
      { name: 'SONGLINE_OPEN', value: open }
    ], empty(subjectClaim) ? [] : [
      { name: 'SONGLINE_SUBJECT_CLAIM', value: subjectClaim }
    ], empty(tokenKey) ? [] : [
      { name: 'SONGLINE_TOKEN_KEY', secretRef: 'token-key' }
    ], signsIn && !empty(pageScopes) ? [
      { name: 'SONGLINE_PAGE_SCOPES', value: pageScopes }
    ] : [], signsIn ? [
      { name: 'SONGLINE_PAGE_CLIENT_ID', value: pageClientId }
      { name: 'SONGLINE_PAGE_URL', value: 'https://${apiHost}' }
      { name: 'SONGLINE_PAGE_CLIENT_SECRET', secretRef: 'page-client-secret' }
      { name: 'SONGLINE_SESSION_KEY', secretRef: 'session-key' }
    ] : [])
  }
  dependsOn: [pulls]
}

output registry string = registry.properties.loginServer
output api string = 'https://${apiHost}'

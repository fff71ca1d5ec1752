// Event Grid: a topic for songs that come and go. Subscriptions are made by `songline subscribe`.
param location string
param tags object
param suffix string
param principals array
param storageName string

var declaration = loadJsonContent('declaration.json')
var places = toObject(range(0, length(declaration.processes)), i => declaration.processes[i])
// Azure's own roles: EventGrid Data Sender, and Storage Blob Data Contributor.
var sender = 'd5a91429-5739-47e2-a06b-3470a27159e7'
var contributor = 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'

resource topic 'Microsoft.EventGrid/topics@2025-02-15' = {
  name: 'evgt-${suffix}'
  location: location
  tags: tags
  // By it the topic writes what no subscriber took.
  identity: { type: 'SystemAssigned' }
  properties: {
    inputSchema: 'CloudEventSchemaV1_0'
    disableLocalAuth: true
    minimumTlsVersionAllowed: '1.2'
    publicNetworkAccess: 'Enabled'
  }
}

resource sends 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: topic
  name: guid(topic.id, 'broadcast', 'sender')
  properties: {
    principalId: principals[places.broadcast]
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', sender)
  }
}

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: storageName
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-06-01' existing = {
  parent: account
  name: 'default'
}

resource undelivered 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' existing = {
  parent: blobs
  name: 'undelivered'
}

resource writes 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: undelivered
  name: guid(topic.id, 'undelivered')
  properties: {
    principalId: topic.identity.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', contributor)
  }
}

output endpoint string = topic.properties.endpoint
output topic string = topic.id

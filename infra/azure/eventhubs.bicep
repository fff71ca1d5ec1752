// Event Hubs: the namespace, its hubs and consumer groups, and who may send and receive.
param location string
param tags object
param suffix string
param tier string
param throughputUnits int
param maximumThroughputUnits int
param partitions int
param principals array
param captureIdentity string
param storageAccount string

var declaration = loadJsonContent('declaration.json')
var grows = tier == 'Standard' && maximumThroughputUnits > throughputUnits
var groups = flatten(map(declaration.hubs, hub => map(hub.groups, name => { hub: hub.name, name: name })))

// Azure's own roles: Azure Event Hubs Data Sender and Data Receiver.
var roles = {
  sender: '2b629674-e913-4c01-ae53-ef4638d8f975'
  receiver: 'a638d3c7-ab3a-418d-83e6-5f17a39d4fde'
}
var hubRights = filter(declaration.hubRights, right => right.on != '*')
var namespaceRights = filter(declaration.hubRights, right => right.on == '*')
// The place of a process in the lists of identities.
var places = toObject(range(0, length(declaration.processes)), i => declaration.processes[i])

resource namespace 'Microsoft.EventHub/namespaces@2026-01-01' = {
  name: 'evhns-${suffix}'
  location: location
  tags: tags
  sku: { name: tier, tier: tier, capacity: throughputUnits }
  identity: { type: 'UserAssigned', userAssignedIdentities: { '${captureIdentity}': {} } }
  properties: {
    disableLocalAuth: true
    minimumTlsVersion: '1.2'
    isAutoInflateEnabled: grows
    maximumThroughputUnits: grows ? maximumThroughputUnits : 0
    publicNetworkAccess: 'Enabled'
  }
}

@batchSize(1)
resource hubs 'Microsoft.EventHub/namespaces/eventhubs@2026-01-01' = [for hub in declaration.hubs: {
  parent: namespace
  name: hub.name
  properties: {
    partitionCount: hub.partitions > 1 && partitions > 0 ? partitions : hub.partitions
    retentionDescription: hub.compacted ? {
      cleanupPolicy: 'Compact'
      tombstoneRetentionTimeInHours: 24
    } : {
      cleanupPolicy: 'Delete'
      retentionTimeInHours: hub.retentionH
    }
    messageTimestampDescription: { timestampType: hub.timestamp }
    captureDescription: hub.capture == null ? null : {
      enabled: true
      encoding: 'Avro'
      intervalInSeconds: hub.capture.intervalS
      sizeLimitInBytes: hub.capture.sizeLimitBytes
      skipEmptyArchives: true
      destination: {
        name: 'EventHubArchive.AzureBlockBlob'
        identity: { type: 'UserAssigned', userAssignedIdentity: captureIdentity }
        properties: {
          storageAccountResourceId: storageAccount
          blobContainer: hub.capture.container
          archiveNameFormat: hub.capture.nameFormat
        }
      }
    }
  }
}]

resource consumerGroups 'Microsoft.EventHub/namespaces/eventhubs/consumergroups@2026-01-01' = [for group in groups: {
  name: '${namespace.name}/${group.hub}/${group.name}'
  properties: {}
  dependsOn: [hubs]
}]

resource granted 'Microsoft.EventHub/namespaces/eventhubs@2026-01-01' existing = [for right in hubRights: {
  parent: namespace
  name: right.on
}]

resource onHubs 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for (right, i) in hubRights: {
  scope: granted[i]
  name: guid(namespace.id, right.on, right.process, right.role)
  properties: {
    principalId: principals[places[right.process]]
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles[right.role])
  }
  dependsOn: [hubs]
}]

resource onNamespace 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for right in namespaceRights: {
  scope: namespace
  name: guid(namespace.id, right.process, right.role)
  properties: {
    principalId: principals[places[right.process]]
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles[right.role])
  }
}]

output namespace string = namespace.name
output host string = '${namespace.name}.servicebus.windows.net'

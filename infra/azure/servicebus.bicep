// Service Bus: the namespace, its queue, and who may send and receive.
param location string
param tags object
param suffix string
param tier string
param principals array

var declaration = loadJsonContent('declaration.json')
// Azure's own roles: Azure Service Bus Data Sender and Data Receiver.
var roles = {
  sender: '69a216fc-b8fb-44d8-bc22-1f3c2cd27a39'
  receiver: '4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0'
}
var places = toObject(range(0, length(declaration.processes)), i => declaration.processes[i])

resource namespace 'Microsoft.ServiceBus/namespaces@2026-01-01' = {
  name: 'sbns-${suffix}'
  location: location
  tags: tags
  sku: tier == 'Premium' ? { name: tier, tier: tier, capacity: 1 } : { name: tier, tier: tier }
  properties: {
    disableLocalAuth: true
    minimumTlsVersion: '1.2'
    publicNetworkAccess: 'Enabled'
  }
}

resource queues 'Microsoft.ServiceBus/namespaces/queues@2026-01-01' = [for queue in declaration.queues: {
  parent: namespace
  name: queue.name
  properties: union({
    lockDuration: queue.lockDuration
    maxDeliveryCount: queue.maxDeliveries
    requiresDuplicateDetection: true
    duplicateDetectionHistoryTimeWindow: queue.duplicatesWindow
    defaultMessageTimeToLive: queue.timeToLive
    deadLetteringOnMessageExpiration: queue.expiredAreKept
    requiresSession: false
  }, tier == 'Premium' ? { maxMessageSizeInKilobytes: queue.maxMessageKb } : {})
}]

resource granted 'Microsoft.ServiceBus/namespaces/queues@2026-01-01' existing = [for right in declaration.queueRights: {
  parent: namespace
  name: right.on
}]

resource onQueues 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for (right, i) in declaration.queueRights: {
  scope: granted[i]
  name: guid(namespace.id, right.on, right.process, right.role)
  properties: {
    principalId: principals[places[right.process]]
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles[right.role])
  }
  dependsOn: [queues]
}]

output namespace string = namespace.name
output host string = '${namespace.name}.servicebus.windows.net'

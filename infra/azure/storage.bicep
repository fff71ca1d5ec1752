// Blob Storage: the account, its containers, what becomes of old blobs, and who may read and write.
param location string
param tags object
param suffix string
param principals array
param capturePrincipal string

var declaration = loadJsonContent('declaration.json')
var places = toObject(range(0, length(declaration.processes)), i => declaration.processes[i])
// Azure's own roles: Storage Blob Data Reader and Data Contributor.
var roles = {
  reader: '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1'
  contributor: 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
}
var archives = map(filter(declaration.hubs, hub => hub.capture != null), hub => hub.capture.container)

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' = {
  name: 'st${suffix}'
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: 'Standard_ZRS' }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: 'Enabled'
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-06-01' = {
  parent: account
  name: 'default'
  properties: {
    // A forgotten listener's former bytes go with the last of these days: docs/erasure.md.
    deleteRetentionPolicy: { enabled: true, days: 7 }
    containerDeleteRetentionPolicy: { enabled: true, days: 7 }
    isVersioningEnabled: false
  }
}

resource containers 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' = [for name in declaration.blobContainers: {
  parent: blobs
  name: name
  properties: { publicAccess: 'None' }
}]

// The archive is the record of everything, so nothing of it is ever deleted here; it is read from its end.
resource lifecycle 'Microsoft.Storage/storageAccounts/managementPolicies@2025-06-01' = {
  parent: account
  name: 'default'
  properties: {
    policy: {
      rules: [
        {
          name: 'archive-cools-down'
          enabled: true
          type: 'Lifecycle'
          definition: {
            filters: { blobTypes: ['blockBlob'], prefixMatch: map(archives, container => '${container}/') }
            actions: { baseBlob: { tierToCool: { daysAfterModificationGreaterThan: 30 } } }
          }
        }
        {
          name: 'uploads-that-nobody-fetched'
          enabled: true
          type: 'Lifecycle'
          definition: {
            filters: { blobTypes: ['blockBlob'], prefixMatch: ['uploads/'] }
            actions: { baseBlob: { delete: { daysAfterModificationGreaterThan: 30 } } }
          }
        }
      ]
    }
  }
  dependsOn: [containers]
}

resource granted 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' existing = [for right in declaration.blobRights: {
  parent: blobs
  name: right.on
}]

resource onContainers 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for (right, i) in declaration.blobRights: {
  scope: granted[i]
  name: guid(account.id, right.on, right.process, right.role)
  properties: {
    principalId: principals[places[right.process]]
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles[right.role])
  }
  dependsOn: [containers]
}]

resource archive 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' existing = [for name in archives: {
  parent: blobs
  name: name
}]

resource ofCapture 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for (name, i) in archives: {
  scope: archive[i]
  name: guid(account.id, name, 'capture')
  properties: {
    principalId: capturePrincipal
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.contributor)
  }
  dependsOn: [containers]
}]

output account string = account.id
output name string = account.name
output endpoint string = account.properties.primaryEndpoints.blob

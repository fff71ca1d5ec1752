// Cosmos DB: the account, the database, its containers, and who may read and write.
param location string
param tags object
param suffix string
param capacity string
param requestUnits int
param versions array
param principals array

var declaration = loadJsonContent('declaration.json')
var places = toObject(range(0, length(declaration.processes)), i => declaration.processes[i])
// The service's own roles: Cosmos DB Built-in Data Reader and Data Contributor.
var roles = {
  reader: '00000000-0000-0000-0000-000000000001'
  contributor: '00000000-0000-0000-0000-000000000002'
}
// A version of a projection is a container like that of the first, with the same rights.
var ofVersions = map(versions, version => {
  name: version.name
  definition: filter(declaration.containers, container => container.name == version.container)[0]
})
var containers = concat(map(declaration.containers, container => {
  name: container.name
  definition: container
}), ofVersions)
var versionRights = flatten(map(versions, version => map(
  filter(declaration.containerRights, right => right.on == version.container),
  right => { process: right.process, on: version.name, role: right.role }
)))
var rights = concat(declaration.containerRights, versionRights)

resource account 'Microsoft.DocumentDB/databaseAccounts@2025-10-15' = {
  name: 'cosmos-${suffix}'
  location: location
  tags: tags
  kind: 'GlobalDocumentDB'
  properties: {
    databaseAccountOfferType: 'Standard'
    // Session consistency keeps what one process reads in order; nothing in Songline relies on more.
    consistencyPolicy: { defaultConsistencyLevel: 'Session' }
    locations: [{ locationName: location, failoverPriority: 0, isZoneRedundant: false }]
    capabilities: capacity == 'serverless' ? [{ name: 'EnableServerless' }] : []
    disableLocalAuth: true
    disableKeyBasedMetadataWriteAccess: true
    minimalTlsVersion: 'Tls12'
    backupPolicy: { type: 'Continuous', continuousModeProperties: { tier: 'Continuous7Days' } }
    publicNetworkAccess: 'Enabled'
  }
}

resource database 'Microsoft.DocumentDB/databaseAccounts/sqlDatabases@2025-10-15' = {
  parent: account
  name: declaration.database
  properties: {
    resource: { id: declaration.database }
    options: capacity == 'serverless' ? {} : { autoscaleSettings: { maxThroughput: requestUnits } }
  }
}

@batchSize(1)
resource collections 'Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers@2025-10-15' = [for container in containers: {
  parent: database
  name: container.name
  properties: {
    resource: {
      id: container.name
      partitionKey: { paths: [container.definition.partitionKey], kind: 'Hash', version: 2 }
      indexingPolicy: {
        indexingMode: 'consistent'
        automatic: true
        includedPaths: map(container.definition.indexed, path => { path: path })
        excludedPaths: [{ path: '/*' }]
      }
      defaultTtl: container.definition.ttlS
    }
  }
}]

// A client reads the account and the containers' descriptions before it reads any document.
resource descriptions 'Microsoft.DocumentDB/databaseAccounts/sqlRoleDefinitions@2025-10-15' = {
  parent: account
  name: guid(account.id, 'metadata')
  properties: {
    roleName: 'Songline metadata reader'
    type: 'CustomRole'
    assignableScopes: [account.id]
    permissions: [{ dataActions: ['Microsoft.DocumentDB/databaseAccounts/readMetadata'] }]
  }
}

resource onAccount 'Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments@2025-10-15' = [for (process, i) in declaration.processes: {
  parent: account
  name: guid(account.id, process, 'metadata')
  properties: {
    principalId: principals[i]
    roleDefinitionId: descriptions.id
    scope: account.id
  }
}]

@batchSize(1)
resource onContainers 'Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments@2025-10-15' = [for right in rights: {
  parent: account
  name: guid(account.id, right.on, right.process, right.role)
  properties: {
    principalId: principals[places[right.process]]
    roleDefinitionId: '${account.id}/sqlRoleDefinitions/${roles[right.role]}'
    scope: right.on == '*' ? '${account.id}/dbs/${declaration.database}' : '${account.id}/dbs/${declaration.database}/colls/${right.on}'
  }
  dependsOn: [collections]
}]

output endpoint string = account.properties.documentEndpoint

// An identity for each process, and one by which Event Hubs Capture writes the archive.
param location string
param tags object
param suffix string

var declaration = loadJsonContent('declaration.json')

resource own 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = [for process in declaration.processes: {
  name: 'id-${process}-${suffix}'
  location: location
  tags: tags
}]

resource capture 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: 'id-capture-${suffix}'
  location: location
  tags: tags
}

// In the order of declaration.processes.
output identities array = [for (process, i) in declaration.processes: own[i].id]
output clients array = [for (process, i) in declaration.processes: own[i].properties.clientId]
output principals array = [for (process, i) in declaration.processes: own[i].properties.principalId]
output captureIdentity string = capture.id
output capturePrincipal string = capture.properties.principalId

// One container app.
param location string
param tags object
param name string
param environmentId string
param identity string
param registry string
param image string
param port int
param external bool
param cpu string
param memory string
param minReplicas int
param maxReplicas int
param rules array
@description('Values by name. An object, since Azure keeps the values of an array in the record of the deployment.')
@secure()
param secrets object
param env array
param readinessPath string

// azd replaces it and nothing else, so what runs is said by the setting SONGLINE_PROCESS, which the image reads. Probes
// come with the deployment after that.
var placeholder = 'mcr.microsoft.com/k8se/quickstart:latest'
var ready = empty(readinessPath) ? [] : [
  {
    type: 'Readiness'
    httpGet: { path: readinessPath, port: port }
    periodSeconds: 5
    timeoutSeconds: 5
    failureThreshold: 6
  }
]

resource app 'Microsoft.App/containerApps@2026-01-01' = {
  name: name
  location: location
  tags: tags
  identity: { type: 'UserAssigned', userAssignedIdentities: { '${identity}': {} } }
  properties: {
    environmentId: environmentId
    workloadProfileName: 'Consumption'
    configuration: {
      // A revision that never gets healthy takes nothing over: the one before it goes on.
      activeRevisionsMode: 'Single'
      maxInactiveRevisions: 10
      registries: [{ server: registry, identity: identity }]
      secrets: map(items(secrets), secret => { name: secret.key, value: secret.value })
      ingress: {
        external: external
        targetPort: port
        transport: 'auto'
        allowInsecure: !external
      }
      identitySettings: [{ identity: identity, lifecycle: 'Main' }]
    }
    template: {
      // A worker commits what it has applied within ten seconds, and the API sends what its outbox holds.
      terminationGracePeriodSeconds: 60
      containers: [
        {
          name: 'songline'
          image: empty(image) ? placeholder : image
          env: env
          resources: { cpu: json(cpu), memory: memory }
          probes: empty(image) ? [] : concat([
            {
              type: 'Startup'
              httpGet: { path: '/health/live', port: port }
              periodSeconds: 3
              failureThreshold: 40
            }
            {
              type: 'Liveness'
              httpGet: { path: '/health/live', port: port }
              periodSeconds: 10
              timeoutSeconds: 10
              failureThreshold: 3
            }
          ], ready)
          volumeMounts: [
            { volumeName: 'data', mountPath: '/data' }
            { volumeName: 'temporary', mountPath: '/tmp' }
          ]
        }
      ]
      scale: {
        minReplicas: minReplicas
        maxReplicas: maxReplicas
        rules: rules
      }
      volumes: [
        { name: 'data', storageType: 'EmptyDir' }
        { name: 'temporary', storageType: 'EmptyDir' }
      ]
    }
  }
}

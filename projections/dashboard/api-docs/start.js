// Shows the API's document with Swagger UI, which the page has loaded. A file, since the page runs no inline script.

/** @type {any} */
const swagger = Reflect.get(window, "SwaggerUIBundle");

swagger({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  layout: "BaseLayout",
  deepLinking: true,
  showExtensions: true,
  showCommonExtensions: true,
  presets: [swagger.presets.apis, swagger.SwaggerUIStandalonePreset],
  // Swagger UI would send the document's address to a validator on another host.
  validatorUrl: null,
});

"use strict";

// Draws the description of the API. A token that is typed in stays in this page's memory and goes when it is closed.
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#api",
  deepLinking: true,
  persistAuthorization: false,
  queryConfigEnabled: false,
  validatorUrl: null,
  // The call as a command line would show the token to whoever looks on.
  plugins: [() => ({ wrapComponents: { curl: () => () => null } })],
});

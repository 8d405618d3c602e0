// Runs in the page of /docs, after swagger-ui. The description is this server's own; nobody else is asked.
const darkScheme = matchMedia("(prefers-color-scheme: dark)");
const followScheme = () => document.documentElement.classList.toggle("dark-mode", darkScheme.matches);
darkScheme.addEventListener("change", followScheme);
followScheme();

SwaggerUIBundle({
  url: document.documentElement.dataset.description,
  dom_id: "#description",
  deepLinking: true,
  docExpansion: "none",
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  filter: true,
  validatorUrl: null,
  // Before a choice it accepts anything, and would get protobuf, which it cannot show.
  requestInterceptor(request) {
    if (request.headers.accept !== "application/protobuf") request.headers.accept = "application/json";
    return request;
  },
});

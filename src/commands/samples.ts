/** `sample`: files to deploy the server with, to be adapted. */
import caddy from "./samples/Caddyfile" with { type: "text" };
import container from "./samples/Containerfile" with { type: "text" };
import systemd from "./samples/entries-server.service" with { type: "text" };
import nginx from "./samples/nginx.conf" with { type: "text" };

/** By the word after `sample`. */
export const SAMPLES = { systemd, container, caddy, nginx } as const;

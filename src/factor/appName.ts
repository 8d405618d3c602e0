/** What authenticator apps and passkey managers show for this service, as the letters do. */
export const APP_NAME = "Entries App";

// Files that are embedded: as their text (`with { type: "text" }`), or as a path to read (`with { type: "file" }`).
declare module "*.sql" {
  const text: string;
  export default text;
}
declare module "*.svg" {
  const text: string;
  export default text;
}
declare module "*.css" {
  const textOrPath: string;
  export default textOrPath;
}
declare module "*.js" {
  const textOrPath: string;
  export default textOrPath;
}
declare module "*.service" {
  const text: string;
  export default text;
}
declare module "*.conf" {
  const text: string;
  export default text;
}
declare module "*/Containerfile" {
  const text: string;
  export default text;
}
declare module "*/Caddyfile" {
  const text: string;
  export default text;
}

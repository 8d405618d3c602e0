/**
 * Makes text harmless in HTML, between tags and in quoted attributes. Every value that goes into a mail or a page goes
 * through here.
 */
export function escapeHtml(text: string): string {
  return Bun.escapeHTML(text);
}

/** As much XML as S3 speaks: trees of texts out, the texts of named elements in. */

export type XmlTree = string | number | boolean | XmlNode[];
export type XmlNode = readonly [name: string, content: XmlTree];

export function toXml(root: string, content: XmlTree): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n${element([root, content])}`;
}

/** The contents of all elements of a name, tags within them included. */
export function elementsOf(xml: string, name: string): string[] {
  return [...xml.matchAll(new RegExp(`<${name}(?: [^>]*)?>(.*?)</${name}>`, 'gs'))].map(
    ([, content = '']) => content,
  );
}

export function textOf(xml: string, name: string): string | undefined {
  const [content] = elementsOf(xml, name);
  if (content === undefined) return undefined;
  return content
    .replace(/&#x([0-9a-fA-F]+);/g, (_, hex: string) => codePoint(Number.parseInt(hex, 16)))
    .replace(/&#(\d+);/g, (_, digits: string) => codePoint(Number(digits)))
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&apos;', "'")
    .replaceAll('&amp;', '&');
}

function element([name, content]: XmlNode): string {
  const inner = Array.isArray(content) ? content.map(element).join('') : escape(String(content));
  return `<${name}>${inner}</${name}>`;
}

function escape(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replace(/[\t\n\r]/g, (each) => `&#x${each.charCodeAt(0).toString(16)};`);
}

function codePoint(code: number): string {
  return String.fromCodePoint(code);
}

import { filesIn, sourceOf } from "./sources";

/** A page of the documentation. */
export interface Page {
  /** path from the project's root */
  file: string;
  text: string;
}

/** All pages of the documentation: at the root and below docs/. */
export function markdownPages(): Page[] {
  const files = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", ...filesIn("docs").filter((file) => file.endsWith(".md"))];
  return files.map((file) => ({ file, text: sourceOf(file) }));
}

/** The page without its fenced blocks. */
export function proseOf(text: string): string {
  return text.replace(/^```.*?^```$/gms, "");
}

/** The fenced blocks of one language; those without a language if it is empty. */
export function blocksOf(text: string, language: string): string[] {
  return [...text.matchAll(/^```(\w*)\n(.*?)^```$/gms)].filter(([, name]) => name === language).map(([, , block = ""]) => block);
}

/** The targets of the links of a page. */
export function linksOf(text: string): string[] {
  return [...proseOf(text).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = ""]) => target);
}

/** The headings of a page. */
export function headingsOf(text: string): string[] {
  return [...proseOf(text).matchAll(/^#{1,6} (.+)$/gm)].map(([, heading = ""]) => heading.trim());
}

/** The anchor that GitHub gives a heading. */
export function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, "")
    .replaceAll(" ", "-");
}

import { CONSOLE_CONTENT_SECURITY_POLICY, CONSOLE_FILES, CONSOLE_PAGE } from "../../../lib/console/console-files";
import { filesIn, sourceOf } from "../../support/unit/sources";

const own = filesIn("lib/console/public").filter((file) => /\.(js|css)$/.test(file));

test("every own file of the console is served, and every file that one of them imports", () => {
  const imported = own.flatMap((file) => [...sourceOf(file).matchAll(/(?:from|import\()\s*"\.\/([^"]+)"/g)].map(([, name = ""]) => name));
  expect(imported.length).toBeGreaterThan(20);
  const names = [...own.map((file) => file.slice("lib/console/public/".length)), ...imported];
  expect(names.filter((name) => !CONSOLE_FILES.has(name))).toEqual([]);
});

test("no file of the console puts a text into the page as markup", () => {
  expect(own.filter((file) => /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(/i.test(sourceOf(file)))).toEqual([]);
});

test("the policy allows scripts and connections of this server alone, and the page has no inline script", () => {
  expect(CONSOLE_CONTENT_SECURITY_POLICY).toMatch(/default-src 'none'; script-src 'self'; connect-src 'self';/);
  expect(CONSOLE_PAGE).not.toMatch(/<script(?![^>]* src=)/);
});

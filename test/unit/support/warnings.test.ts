import { splitShellWords } from "../../../lib/support/shell-words";
import { commandWarnings } from "../../../lib/support/warnings";

describe("commandWarnings", () => {
  test.each([
    ["touch a && touch b", "&&"],
    ["a || b", "||"],
    ["ps | wc", "|"],
    ["cd /app; ls", ";"],
    ["a ; b", ";"],
    ["sleep 5 &", "&"],
    ["echo x > /file", ">"],
    ["make 2>&1", "2>&1"],
    ["echo $HOME", "$HOME"],
    ["ls $\x7bDIR}/x", "$\x7bDIR}"],
    ["echo `date +%s`", "`…`"],
    ["touch $(date +%s)", "$(…)"],
    ["ls -l /var/log/*.log", "/var/log/*.log"],
    ["rm *", "*"],
  ])("of %j name %s", (text, operator) => {
    expect(commandWarnings(splitShellWords(text))).toEqual([expect.stringContaining(`gets ${operator} as it is`)]);
  });

  test.each([
    "sh -c 'a && b; c | d > e;'",
    "psql -c 'SELECT 1;'",
    "python -c 'print(1);'",
    "curl http://host/?a=1&b=2",
    "find . -exec ls {} \\;",
    "--filter=a>b a;b x|y",
    "find . -name *.txt",
    "awk '{print $NF}' file",
    "grep ^a.*b$ file",
    "echo $1 costs 5$",
    "redis-cli keys *",
    "expr 3 * 4",
    "zip -r x.zip . -x *.git",
    "mongosh --authenticationDatabase $external",
    "traefik --users=a:$2y$10$abc",
    "redis-server --requirepass pa$word",
    "",
  ])("of %j there are none", (text) => {
    expect(commandWarnings(splitShellWords(text))).toEqual([]);
  });

  test.each(["$(", "`", "${", "$A"])("of a megabyte of %s one is named at most, at once", (text) => {
    expect(commandWarnings(["echo", text.repeat(500_000)]).length).toBeLessThan(2);
  });
});

import { toImageSummaries } from "../../../../lib/docker/images/image-list";

const image = (fields: object) => ({ RepoTags: null, RepoDigests: null, Size: 5, ...fields }) as never;

test("images are listed newest first, without the names of nameless ones", () => {
  const listed = toImageSummaries([
    image({ Id: "sha256:b", Created: 1000, RepoTags: ["<none>:<none>"], RepoDigests: ["<none>@<none>"] }),
    image({ Id: "sha256:a", Created: 2000, RepoTags: ["web:1"] }),
  ]);
  expect(listed).toEqual([
    { id: "sha256:a", tags: ["web:1"], digests: [], size: 5, created: "1970-01-01T00:33:20.000Z" },
    { id: "sha256:b", tags: [], digests: [], size: 5, created: "1970-01-01T00:16:40.000Z" },
  ]);
});

test("an image that the engine knows in part, without its time and size, is listed too", () => {
  const listed = toImageSummaries([
    image({ Id: "sha256:p", Size: undefined, RepoTags: ["part:1"] }),
    image({ Id: "sha256:a", Created: 1 }),
  ]);
  expect(listed).toMatchObject([{ id: "sha256:a" }, { id: "sha256:p", tags: ["part:1"], size: 0, created: "1970-01-01T00:00:00.000Z" }]);
});

/** Other names of the CPU architectures, as `docker` takes them. */
const ARCHITECTURES: Record<string, string> = {
  aarch64: "arm64",
  x86_64: "amd64",
  "x86-64": "amd64",
  armhf: "arm",
  armel: "arm",
  i386: "386",
};
/** Variants that are meant if none is given. */
const DEFAULT_VARIANTS: Record<string, string> = { arm64: "v8", arm: "v7" };
const SYSTEMS = new Set(["linux", "windows", "freebsd", "darwin"]);

interface ImagePlatform {
  Os?: string | undefined;
  Architecture?: string | undefined;
  Variant?: string | undefined;
}

/**
 * Whether an image is for a platform.
 * @param platform as `docker run` takes it: os, architecture, os/architecture or os/architecture/variant
 */
export function isOfPlatform({ Os, Architecture, Variant }: ImagePlatform, platform: string): boolean {
  const parts = platform.toLowerCase().split("/");
  const os = parts.length > 1 || SYSTEMS.has(parts[0] ?? "") ? parts.shift() : undefined;
  const [architecture, variant] = parts;
  // The containerd image store doesn't tell it of an image that it has in part.
  if (!Architecture) return true;
  if (os !== undefined && os !== Os) return false;
  if (architecture === undefined) return true;
  const wanted = ARCHITECTURES[architecture] ?? architecture;
  if (wanted !== Architecture) return false;
  return variant === undefined || (Variant || DEFAULT_VARIANTS[wanted]) === variant;
}

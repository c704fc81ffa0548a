/**
 * The application's folder in a container. A managed container's volume is mounted here and survives its replacement. Relative paths of
 * files start here, and links in paths below it may not lead out of it.
 */
export const APP_FOLDER = "/app";

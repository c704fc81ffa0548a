# The base needs Node.js 20.19 or newer and npm; the other image gives its docker CLI and compose plugin, where docker's own has them.
ARG BASE_IMAGE=node:24-slim
ARG CLI_IMAGE=docker:28-cli

FROM ${CLI_IMAGE} AS cli

FROM ${BASE_IMAGE} AS packages
WORKDIR /app
COPY . .
RUN mkdir /packages && node scripts/build-packages.js /packages

FROM ${BASE_IMAGE} AS build
WORKDIR /app
COPY --from=packages /packages ./
# No package needs a script of its own to be run.
RUN npm ci --no-audit --no-fund --ignore-scripts
COPY . .
RUN node scripts/build.js

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="docker-server" \
      org.opencontainers.image.description="Run containers on a few machines that have Docker, over one HTTP API" \
      org.opencontainers.image.version="2.0.0" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=cli /usr/local/bin/docker /usr/local/bin/docker
COPY --from=cli /usr/local/libexec/docker/cli-plugins/docker-compose /usr/local/libexec/docker/cli-plugins/docker-compose
WORKDIR /app
COPY --from=build /app/dist dist
# Whoever the container runs as (`--user`, with the group of the engine's socket) can write its logs.
RUN ln -s /app/dist/bin/docker-server.js /usr/local/bin/docker-server && mkdir -m 1777 logs
ENV NODE_ENV=production
EXPOSE 1717
HEALTHCHECK --interval=30s --timeout=5s --start-period=15s --retries=3 CMD ["node", "/app/dist/bin/health-check.js"]
# The program is process 1 and gets the signals: no entry point of the base stands before it.
ENTRYPOINT []
CMD ["docker-server"]

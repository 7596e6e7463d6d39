# The same image as that of `cargo xtask image`, which needs no container engine: one static binary, nothing else.
FROM rust:1.95-bookworm AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends musl-tools libcap2-bin \
 && rustup target add "$(uname -m)-unknown-linux-musl"
WORKDIR /shunt
COPY . .
RUN cargo build --locked --profile image --target "$(uname -m)-unknown-linux-musl" --package proxy-user --bin shunt \
 && install -D "target/$(uname -m)-unknown-linux-musl/image/shunt" /image/usr/bin/shunt \
 # Permitted, not effective: see xtask/src/image/capability.rs. COPY keeps it.
 && setcap cap_dac_override,cap_net_admin,cap_sys_admin,cap_sys_resource,cap_perfmon,cap_bpf=p /image/usr/bin/shunt

FROM scratch
LABEL org.opencontainers.image.title="shunt" \
      org.opencontainers.image.description="A kube-proxy replacement: the agent" \
      org.opencontainers.image.licenses="Apache-2.0 OR MIT" \
      org.opencontainers.image.source="https://github.com/shunt-proxy/shunt"
COPY --from=build /image/ /
ENV PATH=/usr/bin
USER 65532:65532
ENTRYPOINT ["/usr/bin/shunt"]

# SPDX-License-Identifier: Apache-2.0
# vmwrite in an image of its own, with nothing else in it.
#
#   docker build -t vmwrite .                      from the sources (needs BuildKit,
#                                                  which leaves out the first stage)
#   docker build -t vmwrite --target prebuilt .    from a static bin/vmwrite, without a
#                                                  network (make image)
#
# It runs as a user without rights, who may write into that user's processes only.
# For those of another, be that user or be root with the right to trace; --cap-add
# alone gives a plain user nothing:
#
#   docker run --rm --pid=container:NAME --user UID:GID vmwrite write -p 1 ADDRESS BYTES
#   docker run --rm --pid=container:NAME --user 0 --cap-add=SYS_PTRACE vmwrite write -p 1 ADDRESS BYTES

# The stage without a network stands first, because the builder before BuildKit
# makes every stage up to the one that is asked for.
FROM scratch AS prebuilt
COPY bin/vmwrite /vmwrite
USER 65532:65532
ENTRYPOINT ["/vmwrite"]

FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -o /out/vmwrite ./cmd/vmwrite

FROM scratch
COPY --from=build /out/vmwrite /vmwrite
USER 65532:65532
ENTRYPOINT ["/vmwrite"]

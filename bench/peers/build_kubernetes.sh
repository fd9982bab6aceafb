#!/usr/bin/env bash
# Builds kube-apiserver, kube-scheduler and kube-controller-manager from Debian 12's source package
# (1.20.2) into $PEERS/bin: the peer that `make bench` measures against. Once; about 10 minutes on
# two cores and 3 GB of disk. $PEERS is ${XDG_CACHE_HOME:-~/.cache}/dockyard-bench unless it is set.
set -euo pipefail

VERSION=1.20.2
PACKAGE="kubernetes=1.20.5+really1.20.2-1.1+deb12u1"
REFLECT2=/usr/share/gocode/src/github.com/modern-go/reflect2
PROGRAMS=(kube-apiserver kube-scheduler kube-controller-manager)
PEERS=${PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/dockyard-bench}
mkdir -p "$PEERS/bin"
cd "$PEERS"
exec 9>"$PEERS/build.lock"
flock 9

missing=()
for program in "${PROGRAMS[@]}"; do [ -x "bin/$program" ] || missing+=("$program"); done
[ ${#missing[@]} -gt 0 ] || exit 0

apt-get update -q >/dev/null || true  # other people's repositories may be away
apt-get install -y -q --no-install-recommends golang-1.19-go \
    golang-github-modern-go-reflect2-dev rsync dpkg-dev make >/dev/null

if [ ! -d "kubernetes-$VERSION" ]; then
    # Debian's own sources with deb-src switched on, in lists that only this folder has.
    mkdir -p apt/lists/partial
    sed 's/^Types:.*/Types: deb-src/' /etc/apt/sources.list.d/debian.sources > apt/source.sources
    cat > apt/apt.conf <<CONF
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$PEERS/apt";
Dir::State::lists "$PEERS/apt/lists";
CONF
    APT_CONFIG=$PEERS/apt/apt.conf apt-get update -q >/dev/null
    APT_CONFIG=$PEERS/apt/apt.conf apt-get source -q --download-only "$PACKAGE"
    rm -rf unpacking
    mkdir unpacking
    tar -xf kubernetes_*orig.tar.gz -C unpacking --strip-components=1
    mv unpacking "kubernetes-$VERSION"
fi

cd "kubernetes-$VERSION"
# The vendored reflect2 1.0.1 reads map iterators as Go up to 1.17 laid them out, and crashes when
# a newer Go has built it; Debian's 1.0.2 knows the new layout.
rm -f vendor/github.com/modern-go/reflect2/*.{go,s}
cp "$REFLECT2"/*.go "$REFLECT2"/*.s vendor/github.com/modern-go/reflect2/
cat > version <<KEYS
KUBE_GIT_COMMIT=debian
KUBE_GIT_TREE_STATE=clean
KUBE_GIT_VERSION=v$VERSION
KUBE_GIT_MAJOR=1
KUBE_GIT_MINOR=20
KEYS
export PATH=/usr/lib/go-1.19/bin:$PATH GOFLAGS="" GOTOOLCHAIN=local KUBE_GIT_VERSION_FILE=$PWD/version
make WHAT="${missing[*]/#/cmd/}"
install -m 0755 "${missing[@]/#/_output/bin/}" "$PEERS/bin/"

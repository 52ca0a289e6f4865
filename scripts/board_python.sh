#!/usr/bin/env bash
# Python with NumPy of a Debian for another processor, in a folder of its own, run by QEMU: the
# Python package of a Linux board can be tried without the board. Nothing outside the folder is changed.
#
#   scripts/board_python.sh ARCHITECTURE FOLDER     # arm64 or armhf; then: FOLDER/python3 ...
#
# The packages (13 MB) come from the mirrors that apt knows. Does nothing when all is there.
set -euo pipefail

architecture=$1
folder=$2

case $architecture in
  arm64) emulator=qemu-aarch64 triplet=aarch64-linux-gnu ;;
  armhf) emulator=qemu-arm triplet=arm-linux-gnueabihf ;;
  *)
    echo "board_python.sh: unknown architecture '$architecture'" >&2
    exit 2
    ;;
esac
[[ -x $folder/python3 ]] && exit 0

mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
mkdir -p "$folder"/{root,packages,apt/state/lists/partial,apt/cache/archives/partial}
touch "$folder/apt/status"
apt_get=(apt-get -qq -o "APT::Architecture=$architecture" -o "APT::Architectures::=$architecture"
  -o "Dir::State=$folder/apt/state" -o "Dir::State::status=$folder/apt/status"
  -o "Dir::Cache=$folder/apt/cache" -o Debug::NoLocking=1 -o Acquire::Retries=5)
# As this user: apt would hand downloads to one of its own, who may not write here.
((EUID != 0)) || apt_get+=(-o APT::Sandbox::User=root)

# One list of several that did not come may be one that nothing here needs.
"${apt_get[@]}" update || echo "board_python.sh: trying with the lists that came" >&2
(cd "$folder/packages" && "${apt_get[@]}" download python3.11-minimal libpython3.11-minimal \
  libpython3.11-stdlib python3-numpy libblas3 liblapack3 libgfortran5 libstdc++6 libgcc-s1 libc6 \
  libexpat1 libffi8 zlib1g)
for package in "$folder"/packages/*.deb; do
  dpkg-deb -x "$package" "$folder/root"
done

libraries=$folder/root/usr/lib/$triplet
cat >"$folder/.python3.new" <<END
#!/bin/sh
exec $emulator -L "$folder/root" -E PYTHONHOME="$folder/root/usr" \\
  -E LD_LIBRARY_PATH="$libraries:$libraries/blas:$libraries/lapack" \\
  "$folder/root/usr/bin/python3.11" "\$@"
END
chmod +x "$folder/.python3.new"
mv "$folder/.python3.new" "$folder/python3"

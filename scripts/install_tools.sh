#!/usr/bin/env bash
# Installs the Debian packages that the given tools come from, where they are missing.
#
#   scripts/install_tools.sh PYTHON GROUP...
#
# Groups: python (venv and pip for PYTHON), firmware (cross compiler, emulator), linux (the same
# for Arm boards with Linux, of 64 and of 32 bits), riscv (the same for RISC-V), avr (compiler,
# Arduino core and simulator for AVR), host (compilers of C, C++ and devicetrees, a cache for
# them, and CMake, for the tests). Does nothing, and takes no time, when all is there.
set -euo pipefail

python=$1
shift

missing=()

# need PACKAGES COMMAND...: PACKAGES are missing when COMMAND fails.
need() {
  local packages=$1
  shift
  "$@" >/dev/null 2>&1 || missing+=($packages)
}

# A header that only a complete C library has (the compiler alone installs without one).
compiles() {
  local compiler=$1
  shift
  command -v "$compiler" && echo '#include <string.h>' | "$compiler" "$@" -x c -fsyntax-only -
}

for group in "$@"; do
  case $group in
    python)
      need "python3 python3-venv" "$python" -c 'import ensurepip, venv'
      ;;
    firmware)
      need "gcc-arm-none-eabi libnewlib-arm-none-eabi" \
        compiles arm-none-eabi-gcc --specs=nano.specs -mcpu=cortex-m4 -mthumb
      need "qemu-system-arm" command -v qemu-system-arm
      ;;
    linux)
      need "gcc-aarch64-linux-gnu libc6-dev-arm64-cross" compiles aarch64-linux-gnu-gcc
      need "gcc-arm-linux-gnueabihf libc6-dev-armhf-cross" compiles arm-linux-gnueabihf-gcc
      [[ $(uname -m) == aarch64 ]] || need "qemu-user" command -v qemu-aarch64
      [[ $(uname -m) == armv7l ]] || need "qemu-user" command -v qemu-arm
      ;;
    avr)
      need "gcc-avr avr-libc" compiles avr-gcc -mmcu=atmega2560
      need "arduino-core-avr" test -f /usr/share/arduino/hardware/arduino/avr/platform.txt
      need "simavr libsimavr-dev" test -f /usr/include/simavr/sim_avr.h
      need "gcc libc6-dev" compiles gcc
      ;;
    riscv)
      need "gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf" \
        compiles riscv64-unknown-elf-gcc --specs=picolibc.specs -march=rv32imc -mabi=ilp32
      need "qemu-system-misc" command -v qemu-system-riscv32
      ;;
    host)
      need "gcc libc6-dev" compiles gcc
      need "g++" command -v g++
      need "cmake make" command -v cmake
      need "device-tree-compiler" command -v dtc
      need "ccache" command -v ccache
      ;;
    *)
      echo "install_tools.sh: unknown group '$group'" >&2
      exit 2
      ;;
  esac
done

if ((${#missing[@]} == 0)); then
  exit 0
fi

if ! command -v apt-get >/dev/null; then
  echo "error: missing tools, and no apt-get here to install them." >&2
  echo "Install what your system calls these Debian packages: ${missing[*]}" >&2
  exit 3
fi

as_root=()
if ((EUID != 0)); then
  if ! command -v sudo >/dev/null; then
    echo "error: missing tools, and neither root nor sudo to install them. As root, run:" >&2
    echo "  apt-get update && apt-get install -y ${missing[*]}" >&2
    exit 3
  fi
  as_root=(sudo)
fi

echo "Installing Debian packages: ${missing[*]}"
apt_get=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get
  -o Acquire::Retries=5 -o DPkg::Lock::Timeout=300 -qq)
"${apt_get[@]}" update
"${apt_get[@]}" install -y --no-install-recommends "${missing[@]}" >/dev/null

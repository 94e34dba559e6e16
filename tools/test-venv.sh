#!/usr/bin/env bash
# Makes the Python environments of the tests from requirements that are pinned by hash; one that is up to date costs some milliseconds.
#
#   tools/test-venv.sh [--full] [NAME...]     without a name: all that `make test` needs; --full: those and what only `make test-full` needs
#     tests      build/venv            what runs the tests
#     nncf       build/venv-nncf       NNCF, which some tests call as a program
#     clients    build/venv-clients    OpenVINO GenAI and transformers, what runs tests/clients
#     text       build/venv-text       HF tokenizers and others, what runs tests/text
#     openai     build/venv-openai     the openai client, which a test runs as a program
#     ov2025.4, ov2026.1   build/venv-ov2025.4, build/venv-ov2026.1   earlier OpenVINO releases, which some tests load models in
#     optimum    build/venv-optimum    optimum-intel, torch and lm_eval, what runs tests/clients/test_optimum.py, test_optimum_plugin.py and test_lm_eval.py
#     ray        build/venv-ray        Ray, what runs tests/scale/test_ray.py
#     transformers4.57, transformers5.23   build/venv-transformers4.57, ...   other releases than that of `clients`, which a test loads tokenizers with
#     transformers5.17, transformers5.23   build/venv-transformers5.17, ...   with torch: a test saves a model with them
#     peer       build/peer/venv       what benchmarks/peer.py converts checkpoints for llama.cpp with
#     plot       build/venv-plot       matplotlib, what benchmarks/plot.py draws pictures with
#     wheel      build/venv-wheel      what `make wheel` packs the wheel with
#     uv         build/python/uv       what installs the others
#
# Each name above is a link to build/python/NAME-HASH. The hash is over the requirement files and the Python, so build/python can be copied from another
# clone. Use them as `bin/python -m ...`: other programs in bin/ name the folder in which they were installed.
set -euo pipefail
cd "$(dirname "$0")/.."

root=build/python
needed=(tests nncf clients text openai ov2025.4 ov2026.1)
full=(wheel optimum ray transformers4.57 transformers5.17 transformers5.23)
# What decides the content of an environment beside its files. The number counts the changes of how this script installs.
made_with="1 $(python3 -c 'import platform, sys; print(sys.version, platform.machine(), sys.base_prefix)')"

fail() {
  echo "test-venv: $1" >&2
  exit 1
}

# environment NAME LINK FILE...: LINK leads to an environment with all packages of the requirement files. Another FILE only counts for its hash.
environment() {
  local name=$1 link=$2 hash folder
  shift 2
  hash=$({ echo "$made_with"; cat "$@"; } | sha256sum)
  folder=$root/$name-${hash:0:12}
  if [ ! -d "$folder" ]; then make_environment "$name" "$folder" "$@"; fi
  local target
  target=$(realpath --no-symlinks --relative-to="$(dirname "$link")" "$folder")
  if [ "$(readlink "$link")" != "$target" ]; then
    mkdir -p "$(dirname "$link")"
    if [ ! -L "$link" ]; then rm -rf "$link"; fi  # a folder, which earlier versions of this script made
    ln -sfn "$target" "$link"
  fi
}

# make_environment NAME FOLDER FILE...: installs beside FOLDER and renames, so FOLDER is complete or not there. Then deletes its predecessors.
make_environment() {
  local name=$1 folder=$2 file requirements=()
  shift 2
  local options=(--no-deps --only-binary :all: --require-hashes)
  for file in "$@"; do
    if [[ $file == *.txt ]]; then
      requirements+=("$file")
      options+=(-r "$file")
    fi
  done
  if [ "$name" != uv ]; then environment uv "$root/uv" tests/requirements/uv.txt; fi

  mkdir -p "$root"
  exec 9>"$root/.lock"
  flock 9  # of two at the same time the second finds what it wants
  if [ ! -d "$folder" ]; then
    echo "test-venv: installing ${requirements[*]} into $folder"
    local staging=$root/.staging
    rm -rf "$staging"
    if ! install_into "$staging" "$name" "${options[@]}"; then
      rm -rf "$staging"
      fail "cannot make the environment $name, see above. This needs CPython 3.10 to 3.14 with venv and the package index that pip is configured for."
    fi
    local torch
    for torch in "$staging"/lib/python*/site-packages/torch/lib; do
      if [ -d "$torch" ]; then python3 tools/cuda-stand-ins.py "$torch"; fi
    done
    mv -T "$staging" "$folder"
    local old
    for old in "$root/$name"-????????????; do
      if [ "$old" != "$folder" ]; then rm -rf "$old"; fi
    done
  fi
  exec 9>&-
}

# install_into FOLDER NAME OPTIONS...: uv by pip, everything else by uv, which keeps one copy of a package for all environments (hard links).
install_into() {
  local folder=$1 name=$2
  shift 2
  if [ "$name" = uv ]; then
    python3 -m venv "$folder" && "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
  else
    configure_uv
    python3 -m venv --without-pip "$folder" && "$root/uv/bin/uv" pip install --quiet --python "$folder/bin/python" "$@"
  fi
}

# uv gets its packages from where pip is told to get them.
configure_uv() {
  export UV_CACHE_DIR=$root/.cache UV_LINK_MODE=hardlink UV_PYTHON_DOWNLOADS=never
  local settings pair value
  settings=$("$root/uv/bin/python" -m pip config list)
  for pair in index-url:UV_DEFAULT_INDEX extra-index-url:UV_INDEX cert:SSL_CERT_FILE; do
    value=$(sed -n "s/^\(:env:\|global\|install\)\.${pair%%:*}='\(.*\)'$/\2/p" <<<"$settings" | head -n 1)  # sorted: the environment comes first
    if [ -n "$value" ] && [ -z "$(printenv "${pair#*:}")" ]; then export "${pair#*:}=${value//\\n/ }"; fi
  done
  if [ -n "${UV_INDEX:-}" ]; then export UV_INDEX_STRATEGY=${UV_INDEX_STRATEGY:-unsafe-best-match}; fi  # as pip: any index may have the file, the hash decides
}

names=()
for argument in "$@"; do
  case "$argument" in
    --full) names+=("${needed[@]}" "${full[@]}") ;;
    *) names+=("$argument") ;;
  esac
done
if [ $# -eq 0 ]; then names=("${needed[@]}"); fi

files=tests/requirements
for name in "${names[@]}"; do
  case "$name" in
    tests) environment tests build/venv $files/tests.txt ;;
    nncf | clients | text) environment "$name" "build/venv-$name" $files/tests.txt "$files/$name.txt" ;;
    openai | ov2025.4 | ov2026.1 | transformers4.57) environment "$name" "build/venv-$name" "$files/$name.txt" ;;
    transformers5.17 | transformers5.23) environment "$name" "build/venv-$name" "$files/$name.txt" $files/torch.txt tools/cuda-stand-ins.py ;;
    optimum) environment optimum build/venv-optimum $files/tests.txt $files/clients.txt $files/optimum.txt $files/torch.txt $files/lm-eval.txt tools/cuda-stand-ins.py ;;
    ray) environment ray build/venv-ray $files/tests.txt $files/ray.txt ;;
    peer) environment peer build/peer/venv benchmarks/requirements-peer.txt tools/cuda-stand-ins.py ;;
    plot) environment plot build/venv-plot benchmarks/requirements.txt ;;
    wheel) environment wheel build/venv-wheel $files/wheel.txt ;;
    uv) environment uv $root/uv $files/uv.txt ;;
    *)
      echo "test-venv: unknown environment '$name' (known: ${needed[*]} ${full[*]} peer plot wheel uv)" >&2
      exit 2
      ;;
  esac
done

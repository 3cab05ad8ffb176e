#!/usr/bin/env python3
"""Makes the Debian package from [package.metadata.deb] in Cargo.toml, in a few seconds, as `cargo deb` would.

    packaging/deb.py [--binary FILE] [--out DIR]

cargo-deb takes minutes to compile; this needs Python 3.11, dpkg-dev and strip. It prints the path of the package. The
same sources and binary give the same package, byte by byte (SOURCE_DATE_EPOCH, or the time of the commit)."""

import argparse
import glob
import gzip
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent


def output(*command, **options):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **options).stdout.strip()


def epoch():
    if 'SOURCE_DATE_EPOCH' in os.environ:
        return int(os.environ['SOURCE_DATE_EPOCH'])
    try:
        return int(output('git', 'log', '-1', '--format=%ct', cwd=ROOT, stderr=subprocess.DEVNULL))
    except (OSError, ValueError, subprocess.CalledProcessError):
        return int((ROOT / 'Cargo.toml').stat().st_mtime)


def copy_assets(assets, binary, tree):
    """Each asset is [source, destination, mode]; a destination that ends in / is a directory. Manual pages and the
    changelog are compressed, as Debian asks."""
    for source, destination, mode in assets:
        found = [binary] if source == 'target/release/maildex' else sorted(map(pathlib.Path, glob.glob(str(ROOT / source))))
        if not found:
            sys.exit(f'deb.py: {source}: there is no such file')
        for path in found:
            name = pathlib.Path(source).name if path == binary else path.name
            to = tree / destination / name if destination.endswith('/') else tree / destination
            to.parent.mkdir(parents=True, exist_ok=True)
            if '/man/' in destination or to.name == 'changelog':
                to = to.with_name(to.name + '.gz')
                to.write_bytes(gzip.compress(path.read_bytes(), 9, mtime=0))
            else:
                shutil.copyfile(path, to)
            to.chmod(int(mode, 8))
            if path == binary:
                subprocess.run(['strip', '--strip-unneeded', to], check=True)


def depends(binary, scratch):
    """What the binary is linked with, and from which version on."""
    (scratch / 'debian').mkdir()
    (scratch / 'debian/control').write_text('Source: maildex\n\nPackage: maildex\nArchitecture: any\n')
    found = output('dpkg-shlibdeps', '-O', binary, cwd=scratch, stderr=subprocess.DEVNULL)
    return found.removeprefix('shlibs:Depends=')


def control(package, deb, tree, scratch):
    files = [path for path in tree.rglob('*') if path.is_file()]
    sizes = sum((path.stat().st_size + 1023) // 1024 for path in files)
    extended = [f' {line}' if line else ' .' for line in deb['extended-description'].strip().split('\n')]
    fields = {
        'Package': package['name'],
        'Version': f"{package['version']}-{deb['revision']}",
        'Architecture': output('dpkg', '--print-architecture'),
        'Maintainer': deb['maintainer'],
        'Installed-Size': sizes,
        'Depends': depends(tree / 'usr/bin/maildex', scratch),
        'Suggests': deb['suggests'],
        'Section': deb['section'],
        'Priority': deb['priority'],
        'Description': '\n'.join([package['description'], *extended]),
    }
    sums = [f'{hashlib.md5(path.read_bytes()).hexdigest()}  {path.relative_to(tree)}\n' for path in sorted(files)]
    (tree / 'DEBIAN').mkdir()
    (tree / 'DEBIAN/control').write_text(''.join(f'{name}: {value}\n' for name, value in fields.items()))
    (tree / 'DEBIAN/md5sums').write_text(''.join(sums))
    return '{Package}_{Version}_{Architecture}.deb'.format(**fields)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--binary', type=pathlib.Path, default=ROOT / 'target/release/maildex')
    parser.add_argument('--out', type=pathlib.Path, default=ROOT / 'target/debian')
    arguments = parser.parse_args()
    if not arguments.binary.is_file():
        sys.exit(f'deb.py: {arguments.binary}: there is no such file; cargo build --release makes it')
    package = tomllib.loads((ROOT / 'Cargo.toml').read_text())['package']
    deb = package['metadata']['deb']
    arguments.out.mkdir(parents=True, exist_ok=True)
    os.umask(0o022)
    os.environ['SOURCE_DATE_EPOCH'] = str(epoch())
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        tree = scratch / 'tree'
        tree.mkdir()
        copy_assets(deb['assets'], arguments.binary.resolve(), tree)
        name = control(package, deb, tree, scratch)
        to = arguments.out / name
        subprocess.run(['dpkg-deb', '--build', '--root-owner-group', tree, to], check=True, stdout=subprocess.DEVNULL)
    print(to)


main()

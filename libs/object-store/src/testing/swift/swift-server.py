"""OpenStack Swift in one process, with its S3 API, below one folder.

In: a folder for its files. Out: one line of JSON on standard output with the port of the proxy,
once it answers. Ends when its standard input does, so it cannot outlive whoever started it.
"""
import json
import os
import sys

import eventlet

eventlet.monkey_patch()

from eventlet import wsgi  # noqa: E402
from swift.common.http_protocol import SwiftHttpProtocol  # noqa: E402
from swift.common.ring import RingBuilder  # noqa: E402
from swift.common.utils import set_swift_dir  # noqa: E402
from swift.common.wsgi import loadapp  # noqa: E402

SWIFT_CONF = """
[swift-hash]
swift_hash_path_prefix = test
swift_hash_path_suffix = test
[storage-policy:0]
name = one
default = yes
"""

BACKEND_CONF = """
[DEFAULT]
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
disable_fallocate = true
fallocate_reserve = 0
log_level = ERROR
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
"""

PROXY_CONF = """
[DEFAULT]
swift_dir = {folder}
log_level = ERROR
[pipeline:main]
pipeline = catch_errors cache s3api tempauth slo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:cache]
paste.filter_factory = cache_in_process:cache_factory
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
min_segment_size = {part_bytes_min}
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
[filter:slo]
use = egg:swift#slo
"""


class Cache(object):
    """What Swift asks of memcached, in this process."""

    def __init__(self):
        self.values = {}

    def get(self, key, *args, **kwargs):
        return self.values.get(key)

    def set(self, key, value, *args, **kwargs):
        self.values[key] = value

    def incr(self, key, delta=1, *args, **kwargs):
        self.values[key] = self.values.get(key, 0) + delta
        return self.values[key]

    def delete(self, key, *args, **kwargs):
        self.values.pop(key, None)


def cache_factory(global_conf, **local_conf):
    cache = Cache()

    def with_cache(app):
        def call(env, start_response):
            env['swift.cache'] = cache
            return app(env, start_response)

        return call

    return with_cache


class Silence(object):
    def write(self, *args):
        pass

    def info(self, *args):
        pass

    debug = info
    error = info


def write(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, 'w') as file:
        file.write(text)
    return path


def make_ring(folder, name, port):
    builder = RingBuilder(2, 1, 0)
    device = dict(id=0, region=1, zone=1, weight=1, device='d1', meta='')
    builder.add_dev(dict(device, ip='127.0.0.1', port=port))
    builder.rebalance()
    builder.get_ring().save(os.path.join(folder, name + '.ring.gz'))


def serve(sock, app):
    eventlet.spawn(
        wsgi.server, sock, app, Silence(), protocol=SwiftHttpProtocol,
        capitalize_response_headers=False)


def main(folder, part_bytes_min):
    sys.modules['cache_in_process'] = sys.modules['__main__']
    os.makedirs(os.path.join(folder, 'devices', 'd1'), exist_ok=True)
    write(folder, 'swift.conf', SWIFT_CONF)
    set_swift_dir(folder)
    backends = {}
    for kind in ('account', 'container', 'object'):
        backends[kind] = eventlet.listen(('127.0.0.1', 0))
        make_ring(folder, kind, backends[kind].getsockname()[1])
    for kind, sock in backends.items():
        conf = BACKEND_CONF.format(folder=folder, kind=kind)
        serve(sock, loadapp(write(folder, kind + '-server.conf', conf)))
    conf = PROXY_CONF.format(folder=folder, part_bytes_min=part_bytes_min)
    proxy = eventlet.listen(('127.0.0.1', 0))
    serve(proxy, loadapp(write(folder, 'proxy-server.conf', conf)))
    print(json.dumps({'port': proxy.getsockname()[1]}), flush=True)
    eventlet.tpool.execute(sys.stdin.read)


if __name__ == '__main__':
    main(sys.argv[1], int(sys.argv[2]))

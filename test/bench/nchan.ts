import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Peer } from './peers.ts'

export const NGINX = ['/usr/sbin/nginx', '/usr/bin/nginx', '/usr/local/sbin/nginx'].find(existsSync)
const MODULE = ['/usr/lib/nginx/modules', '/usr/share/nginx/modules', '/usr/lib64/nginx/modules']
  .map((folder) => join(folder, 'ngx_nchan_module.so'))
  .find(existsSync)

export const HOW_TO_INSTALL = 'nchan is left out. It comes with Debian: apt-get install nginx-light libnginx-mod-nchan'

/** One worker, the same history as the others, and nothing that ends a keep-alive connection. */
function config(port: number): string {
  const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${name};`)
  return `load_module ${MODULE};
${process.getuid?.() === 0 ? 'user root;' : ''}
daemon off;
worker_processes 1;
worker_rlimit_nofile 65536;
pid nginx.pid;
error_log stderr crit;
events { worker_connections 65000; }
http {
  ${temp.join('\n  ')}
  access_log off;
  keepalive_requests 1000000000;
  nchan_shared_memory_size 512M;
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location ~ ^/events/([a-z0-9]+)$ {
      nchan_channel_id $1;
      nchan_publisher http;
      nchan_subscriber eventsource;
      nchan_subscriber_first_message newest;
      nchan_message_buffer_length 1000;
      nchan_message_timeout 1h;
    }
  }
}
`
}

/** nginx with its module for streams; undefined if it is not installed. */
export const nchan: Peer | undefined =
  NGINX === undefined || MODULE === undefined
    ? undefined
    : {
        name: 'nchan',
        title: 'nchan (nginx, C)',
        replays: true,
        isNode: false,
        command: (port) => {
          const folder = mkdtempSync(join(tmpdir(), 'bench-nchan-'))
          process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
          writeFileSync(join(folder, 'nginx.conf'), config(port))
          return [NGINX, '-p', folder, '-c', 'nginx.conf']
        },
      }

<?php
// Publishes one event through Redis: php demo/examples/redis/publish.php '{"text":"hi"}' [url] (needs php-redis)

[, $json] = $argv;
$url = parse_url($argv[2] ?? 'redis://localhost:6379');
$redis = new Redis();
$redis->connect($url['host'], $url['port'] ?? 6379);
if (isset($url['pass'])) $redis->auth([rawurldecode($url['user'] ?? 'default'), rawurldecode($url['pass'])]);

// A retry with the same id publishes it once.
$event = ['channel' => 'board', 'data' => $json, 'json' => '1', 'id' => bin2hex(random_bytes(12))];
echo $redis->xAdd('{sse}:in', '*', $event), "\n";

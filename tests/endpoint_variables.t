#!/usr/bin/perl

# Variables of proxy_pass say which path an engine gets, and with which query. What was judged by another one is
# judged anew: lists of models, objects of other clients, media, models in a query. What variables leave as it is,
# arrives as without them.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/header json keys_file status/;
use Tollgate::Client;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(59)
	->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone           zone=tollgate:1m;
    tollgate_owned_objects  zone=objects:1m;

    tollgate_tier          open { }
    tollgate_default_tier  open;
    tollgate_api_keys      keys.json;

    add_header  X-Cause $tollgate_detail always;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        tollgate         on;
        tollgate_engine  openai;

        set  $up 127.0.0.1:8081;

        location / {
            proxy_pass  http://$up;
        }

        location = /list {
            set         $p /v1/models;
            proxy_pass  http://$up$p;
        }

        location ~ ^/q/ {
            proxy_pass  http://$up$arg_p;
        }

        location ~ ^/(?:cut|k)(?<rest>/.*)$ {
            proxy_pass  http://$up$rest$is_args$args;
        }

        location ~ ^/r/(.*)$ {
            proxy_pass  http://$up/v1/responses/$1;
        }

        location /stays/ {
            proxy_pass  http://$up;
        }

        location /uri/ {
            proxy_pass  http://$up$uri;
        }

        # A path that the location doesn't name.
        location ~ ^/any/ {
            proxy_pass  http://$up;
        }

        # A redirect to variables.
        location = /v1/audio {
            try_files  /missing @variables;
        }

        location = /health {
            try_files  /missing @variables;
        }

        location @variables {
            proxy_pass  http://$up/v1/responses/$arg_id;
        }

        location = /count {
            proxy_pass  http://127.0.0.1:8081/v1/responses/input_tokens;
        }
    }

    server {
        listen       127.0.0.1:8080;
        server_name  llamacpp;

        tollgate         on;
        tollgate_engine  llamacpp;

        set  $up 127.0.0.1:8081;

        location / {
            proxy_pass  http://$up$uri?$arg_and;
        }

        location /as-it-is/ {
            rewrite     ^/as-it-is(/.*) $1 break;
            proxy_pass  http://$up$uri$is_args$args;
        }
    }

    server {
        listen       127.0.0.1:8081;
        server_name  localhost;

        default_type  application/json;
        add_header    X-Saw "$request_method $request_uri" always;

        location / {
            return  200 '{"id":"resp_1","object":"response","status":"completed","output":[],"data":[]}';
        }

        location = /v1/models {
            return  200 '{"object":"list","data":[{"id":"llama-1","object":"model","root":"/disk/llama"},{"id":"secret","object":"model","root":"/disk/secret"}]}';
        }
    }
}

EOC
$t->write_file('keys.json', keys_file(
	{ key => 'key-a', client => 'acme' },
	{ key => 'key-b', client => 'bolt' },
	{ key => 'key-llama', client => 'cube', models => ['llama-*'] },
));
$t->run();

sub ask {
	my ($method, $path, $key, $body, $host) = @_;
	$body = json($body) if ref $body;
	$body //= '';
	return http("$method $path HTTP/1.1\r\nHost: " . ($host // 'localhost') . "\r\nConnection: close\r\n"
		. "X-API-Key: key-$key\r\n" . (length $body ? "Content-Type: application/json\r\n" : '')
		. 'Content-Length: ' . length($body) . "\r\n\r\n$body") // '';
}

# What the engine got, or why it got nothing.
sub outcome {
	my $r = ask(@_);
	return header($r, 'X-Saw') // join ' ', status($r), header($r, 'X-Cause') // ();
}

# Lists of models.
for my $path ('/v1/models', '/list', '/q/?p=/v1/models', '/cut/v1/models') {
	my $answer = http_content(ask('GET', $path, 'llama'));
	like($answer, qr/"llama-1"/, "$path: a list");
	unlike($answer, qr/secret/, "$path: no other models");
	unlike($answer, qr/disk/, "$path: no paths");
}

# Objects.
like(ask('POST', '/v1/responses', 'a', { model => 'm', input => 'x' }), qr/"resp_1"/, 'a response');
for my $path ('/v1/responses/resp_1', '/cut/v1/responses/resp_1') {
	is(outcome('GET', $path, 'a'), 'GET /v1/responses/resp_1', "$path: its owner");
	is(outcome('GET', $path, 'b'), '404 anothers_object', "$path: another client");
}
for my $key (qw/a b/) {
	is(outcome('GET', '/r/resp_1', $key), '403 forwarded_elsewhere', "variables, $key");
	is(outcome('DELETE', '/r/resp_1', $key), '403 forwarded_elsewhere', "variables, DELETE, $key");
	is(outcome('POST', '/r/resp_1/cancel', $key), '403 forwarded_elsewhere', "variables, cancel, $key");
	is(outcome('GET', '/q/v1/responses/resp_2?p=/v1/responses/resp_1', $key), '404 unknown_object',
		"another object, $key");
	is(outcome('GET', '/health?id=resp_1', $key), '403 forwarded_elsewhere', "redirect, $key");
	is(outcome('GET', '/q/?p=/v1/responses', $key), '403 forwarded_elsewhere', "all objects, $key");
}
ask('POST', '/v1/responses', 'b', { model => 'm', input => 'x' });
is(outcome('GET', '/q/v1/responses/resp_1?p=/v1/responses/resp_1', 'a'), 'GET /v1/responses/resp_1', 'own by variables');
is(outcome('GET', '/q/v1/responses/resp_1?p=/v1/responses/resp_2', 'a'), '403 forwarded_elsewhere',
	'not the own one that was judged');
is(outcome('GET', '/q/v1/responses/resp_1?p=/v1/responses/resp_1/input_items', 'a'),
	'GET /v1/responses/resp_1/input_items', 'the same by another path');
is(outcome('DELETE', '/q/v1/responses/resp_1?p=/v1/models', 'a'), '403 forwarded_elsewhere', 'no object at all');

# Calls are nobody's.
is(outcome('GET', '/v1/realtime?model=m', 'b'), 'GET /v1/realtime?model=m', 'speech');
is(outcome('GET', '/v1/realtime?call%5Fid=rtc_1', 'b'), '404 unknown_object', 'the call of another client');
is(outcome('POST', '/v1/realtime/calls?x=1&Call_ID=rtc_1', 'b'), '404 unknown_object', 'the same, POST');
is(outcome('GET', '/q/v1/realtime?p=/v1/realtime?call_id=rtc_1', 'b'), '403 forwarded_elsewhere',
	'the same by variables');

# Media.
my $media = { model => 'm', input => [ { role => 'user',
	content => [ { type => 'input_image', image_url => 'http://169.254.169.254/x' } ] } ] };
my $text = { model => 'm', input => 'x' };
my $count = '/v1/responses/input_tokens';
for my $path ($count, "/cut$count", '/count') {
	is(outcome('POST', $path, 'a', $media), '403 denied_feature remote_media', "$path: media");
	is(outcome('POST', $path, 'a', $text), "POST $count", "$path: text");
}
is(outcome('POST', "/q/?p=$count", 'a', $_), '403 forwarded_elsewhere', 'variables: body not read') for $media, $text;

# Prefixes that stay.
my $chat = { model => 'm', messages => [ { role => 'user', content => 'x' } ] };
for my $prefix ('/stays', '/uri') {
	is(outcome('POST', "$prefix/v1/chat/completions", 'a', $chat), "POST $prefix/v1/chat/completions",
		"$prefix: chat");
	is(outcome('GET', "$prefix/v1/models", 'a'), "GET $prefix/v1/models", "$prefix: models");
	is(outcome('GET', "$prefix/metrics", 'a'), '403 operators_endpoint', "$prefix: metrics");
	is(outcome('POST', "$prefix/x/v1/chat/completions", 'a', $chat), '403 unknown_endpoint openai', "$prefix: a prefix more");
}
is(outcome('POST', '/any/v1/chat/completions', 'a', $chat), '403 unknown_endpoint openai', 'a prefix that nobody names');

# Models in a query that only the engine sees.
for (
	[ 'llama', '/health?and=model%3Dsecret', 'GET /health?model%3Dsecret' ],
	[ 'llama', '/health?and=model=secret', '403 forwarded_elsewhere' ],
	[ 'llama', '/as-it-is/health', 'GET /health' ],
	[ 'llama', '/health?and=x', 'GET /health?x' ],
	[ 'a', '/health?and=x', 'GET /health?x' ],
) {
	my ($key, $path, $expected) = @$_;
	is(outcome('GET', $path, $key, undef, 'llamacpp'), $expected, "llamacpp: $path, $key");
}

$t->stop();

#!/usr/bin/perl

# tollgate_cache_salt: in the engine's cache of prefixes, each tenant has a part of its own, which no client chooses
# or knows. All else in the body stays as it was.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/json keys_file status/;
use Tollgate::Client;
use Tollgate::Engine qw/needs_engine start_engine/;
use Tollgate::Metered;

use JSON::PP qw//;

select STDERR; $| = 1;
select STDOUT; $| = 1;

needs_engine();

my $t = Test::Nginx->new()->has(qw/http proxy rewrite http_v2/)->has_daemon('curl')->plan(69);

sub conf {
	my ($t, $state) = @_;
	$t->write_file_expand('nginx.conf', <<'EOC' =~ s/STATE/$state/r);

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone  zone=tollgate:1m STATE;
    tollgate_tier  open { }

    tollgate_api_keys   keys.json;
    tollgate_audit_log  %%TESTDIR%%/audit.log;

    server {
        listen       127.0.0.1:8080;
        listen       127.0.0.1:8082 http2;
        server_name  localhost;

        tollgate             on;
        tollgate_engine      vllm;
        tollgate_cache_salt  tenant;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /secret/ {
            tollgate_cache_salt  tenant secret=salt.secret;
            proxy_pass           http://127.0.0.1:8081/;
        }

        location /client/ {
            tollgate_cache_salt  client;
            proxy_pass           http://127.0.0.1:8081/;
        }

        location /off/ {
            tollgate_cache_salt  off;
            proxy_pass           http://127.0.0.1:8081/;
        }

        location /sglang/ {
            tollgate_engine     sglang;
            rewrite             ^/sglang(/.*) $1 break;
            proxy_pass          http://127.0.0.1:8081;

            location /sglang/opened/ {
                tollgate_endpoints  +POST:/sglang/opened/v1/messages +POST:/v1/messages;
                proxy_pass          http://127.0.0.1:8081/;
            }
        }

        location /spilled/ {
            client_body_buffer_size  1k;
            proxy_pass               http://127.0.0.1:8081/;
        }

        location /unbuffered/ {
            client_body_buffer_size  1k;
            proxy_request_buffering  off;
            proxy_http_version       1.1;
            proxy_pass               http://127.0.0.1:8081/;
        }

        location /fallback/ {
            error_page  502 = @fallback;
            proxy_pass  http://127.0.0.1:8083;
        }

        location @fallback {
            rewrite     ^/fallback(.*) $1 break;
            proxy_pass  http://127.0.0.1:8081;
        }

        location /fallback-client/ {
            error_page  502 = @client;
            proxy_pass  http://127.0.0.1:8083;
        }

        location @client {
            tollgate_cache_salt  client;
            rewrite              ^/fallback-client(.*) $1 break;
            proxy_pass           http://127.0.0.1:8081;
        }

        location /fallback-off/ {
            error_page  502 = @off;
            proxy_pass  http://127.0.0.1:8083;
        }

        location @off {
            tollgate_cache_salt  off;
            rewrite              ^/fallback-off(.*) $1 break;
            proxy_pass           http://127.0.0.1:8081;
        }

        location /fallback-open/ {
            error_page  502 = @open;
            proxy_pass  http://127.0.0.1:8083;
        }

        location @open {
            tollgate    off;
            rewrite     ^/fallback-open(.*) $1 break;
            proxy_pass  http://127.0.0.1:8081;
        }

        location /set/ {
            set         $length $content_length;
            proxy_pass  http://127.0.0.1:8081/;
        }

        location /dry/ {
            tollgate_dry_run  on;
            proxy_pass        http://127.0.0.1:8081/;
        }

        location ~ ^/v1/(audio/|tokenize|models) {
            tollgate_engine  sglang;
            proxy_pass       http://127.0.0.1:8084;
        }

        location /header/ {
            proxy_pass http://127.0.0.1:8084/;

            location /header/vllm/ {
                tollgate_scheduler  vllm;
                proxy_pass          http://127.0.0.1:8084/;
            }

            location /header/pass/ {
                tollgate_scheduler  pass;
                proxy_pass          http://127.0.0.1:8084/;
            }

            location /header/pass/off/ {
                tollgate_cache_salt  off;
                tollgate_scheduler   pass;
                proxy_pass           http://127.0.0.1:8084/;
            }
        }
    }

    server {
        listen       127.0.0.1:8084;
        server_name  localhost;

        location / {
            return 200 "salt=$http_x_cache_salt;";
        }
    }
}

EOC
}

my @clients = (['alice', 'acme'], ['bob', 'acme'], ['carol', 'globex'], ['dave'], ['erin'], ['acme']);
$t->write_file('keys.json', keys_file(map {
	{ key => "key-$_->[0]", client => $_->[0], tier => 'open', $_->[1] ? (tenant => $_->[1]) : () }
} @clients));
$t->write_file('salt.secret', "0123456789abcdef0123456789abcdef0123456789abcdef\n");
chmod 0600, $t->testdir() . '/salt.secret';
start_engine($t, 8081);
mkdir $t->testdir() . '/state' or die "Can't make a folder: $!\n";
conf($t, 'state=%%TESTDIR%%/state/zone');
$t->run();

my $chat = '/v1/chat/completions';
my $body = '{"model":"m","messages":[{"role":"user","content":"one two \u00e4"}]}';
my $salt = qr/[A-Za-z0-9_-]{43}/;

###############################################################################

# whose part it is

my %of = map { ($_->[0] => salt_of($chat, $_->[0])) } @clients;
like($_, qr/^$salt$/, 'a salt') for $of{alice};
is($of{bob}, $of{alice}, 'clients of a tenant share one');
my %distinct = map { $of{$_} => 1 } qw/alice carol dave erin acme/;
is(scalar keys %distinct, 5, 'tenants, and those who have none, have their own');
is(salt_of($chat, 'alice'), $of{alice}, 'each time the same');

my %by_client = map { ($_ => salt_of("/client$chat", $_)) } qw/alice bob carol dave/;
is(scalar(keys %{{ map { $_ => 1 } values %by_client, values %of }}), 9,
	'by client: one for each');

# everything else stays

for my $sent ($body, qq( { "stream" : true, "messages":[],"model":"m", "x":1.0e0 } )) {
	my $got = got("/off$chat", $sent, 'alice');
	is(got($chat, $sent, 'alice'), $got =~ s/^(\s*\{)/$1"cache_salt":"$of{alice}",/r, 'put in, and nothing else');
}
is(got("/off$chat", $body, 'alice'), $body, 'off');

# what the client says

is(got($chat, qq({"cache_salt":"mine",) . substr($body, 1), 'alice'),
	qq({"cache_salt":"$of{alice}",) . substr($body, 1), "in place of the client's");
for my $value ('null', '""', '1', '["a"]', '{"a":"b"}', "\"$of{carol}\"") {
	my $got = JSON::PP->new->decode(got($chat, qq({"cache_salt":$value,) . substr($body, 1), 'alice'));
	is($got->{cache_salt}, $of{alice}, "in place of $value");
}
is(JSON::PP->new->decode(got($chat, '{"cache\u005fsalt":"mine",' . substr($body, 1), 'alice'))->{cache_salt},
	$of{alice}, 'written with an escape');
for my $twice ('"cache_salt":"a","cache_salt":"b"', '"Cache_Salt":"a"', "\"cache_\x{c5}\x{bf}alt\":\"a\"",
	'"CACHE_SALT":"a","cache_salt":"b"', '"cache_salt\ud800":"a"')
{
	my ($r, $line) = ask_for($t, $chat, "{$twice," . substr($body, 1), 'X-API-Key: key-alice');
	is(status($r) . " $line->{reason}", '400 malformed_request', 'refused: ' . $twice =~ s/[^ -~]/?/gr);
}
is(got("/off$chat", '{"cache_salt":"mine",' . substr($body, 1), 'alice'), '{"cache_salt":"mine",' . substr($body, 1),
	'off: it may choose');

# each endpoint that reads one

for (['/v1/completions', '{"model":"m","prompt":"p"}'], ['/v1/responses', '{"model":"m","input":"i"}'],
	['/v1/messages', '{"model":"m","max_tokens":5,"messages":[]}'], ['/v1/embeddings', '{"model":"m","input":"i"}'])
{
	my ($uri, $sent) = @$_;
	is(got($uri, $sent, 'alice'), $sent =~ s/^\{/{"cache_salt":"$of{alice}",/r, "vllm, $uri");
}

my $sglang = salt_of("/sglang$chat", 'alice');
is($sglang, $of{alice}, 'sglang, chat');
is(JSON::PP->new->decode(got("/sglang$chat", '{"extra_key":"x",' . substr($body, 1), 'alice'))->{extra_key}, 'x',
	"sglang, chat: what follows the salt is the client's");
is(JSON::PP->new->decode(got('/sglang/generate', '{"text":"t","extra_key":"mine"}', 'alice'))->{extra_key},
	$of{alice}, 'sglang, its own API');

# and those that read none are closed, unless they are opened

for my $uri (qw!/v1/messages /api/chat!) {
	my ($r, $line) = ask_for($t, "/sglang$uri", '{"model":"m","max_tokens":5,"messages":[]}', 'X-API-Key: key-alice');
	is(status($r) . " $line->{reason} " . ($line->{detail} // ''), '403 endpoint_denied unsalted_endpoint',
		"sglang, $uri");
}

{
	my ($r, $line) = ask_for($t, '/v2/embed', '{"model":"m","texts":["t"],"input_type":"x"}', 'X-API-Key: key-alice');
	is(status($r) . " $line->{reason} " . ($line->{detail} // ''), '403 endpoint_denied unsalted_endpoint',
		'vllm, /v2/embed');
}

is(got('/sglang/opened/v1/messages', '{"model":"m","max_tokens":5,"messages":[]}', 'alice'),
	'{"model":"m","max_tokens":5,"messages":[]}', 'sglang, /v1/messages, opened: without a salt');
for (['/v1/audio/transcriptions', 403], ['/v1/tokenize', 200], ['/v1/audio/other', 403]) {
	my ($uri, $expected) = @$_;
	my $answer = ask(post($uri, '{"model":"m"}', 'X-API-Key: key-alice'));
	is(status($answer), $expected, "sglang, $uri");
}

###############################################################################

# streams, large bodies, chunks, HTTP/2

my $large = substr($body, 0, -1) . ',"pad":"' . 'x' x 300_000 . '"}';
my $stream = substr($body, 0, -1) . ',"stream":true}';
for my $place ('', '/spilled', '/unbuffered') {
	is(got("$place$chat", $large, 'alice'), $large =~ s/^\{/{"cache_salt":"$of{alice}",/r, "large, '$place'");
	my $got = JSON::PP->new->decode(got("$place$chat", $stream, 'alice'));
	is($got->{cache_salt}, $of{alice}, "stream, '$place'");
	ok($got->{stream_options}{include_usage}, "stream, '$place', asked for its usage as well");
}
my $id = new_id();
ask(chunked("/spilled$chat", $large, 1000, 'X-API-Key: key-alice', "X-Request-ID: $id"));
is(engine_body(8081, $id), $large =~ s/^\{/{"cache_salt":"$of{alice}",/r, 'chunks');
$id = new_id();
h2($t, $chat, $body, 'X-API-Key: key-carol', "X-Request-ID: $id");
is(JSON::PP->new->decode(engine_body(8081, $id))->{cache_salt}, $of{carol}, 'HTTP/2');

# redirects inside of nginx

is(salt_of("/fallback$chat", 'alice'), $of{alice}, 'redirected, under the same policy');
is(salt_of("/fallback-client$chat", 'alice'), $by_client{alice}, 'redirected, under another one');
is(got("/fallback-off$chat", $body, 'alice'), $body, 'redirected, off');
is(got("/fallback-open$chat", $body, 'alice'), $body, 'redirected, without us');
my ($r, $line) = ask_for($t, "/set$chat", $body, 'X-API-Key: key-alice');
is(status($r) . ' ' . ($line->{detail} // ''), '500 length_in_set', 'a length that nginx keeps');
is(salt_of("/dry$chat", 'alice'), $of{alice}, 'dry run');

# the header that wins over the body

my $seen = sub {
	my ($uri, @lines) = @_;
	return http_content(ask(post($uri, $body, 'X-API-Key: key-alice', @lines))) =~ /salt=([^;]*);/ ? $1 : 'none';
};
is($seen->("/header$chat"), '', 'no header');
is($seen->("/header$chat", 'X-Cache-Salt: mine', 'x-cache-salt: mine'), '', "no header of the client's");
is($seen->("/header/vllm$chat", 'X-Cache-Salt: mine'), $of{alice}, 'our header');
is($seen->("/header/pass$chat", 'X-Cache-Salt: mine'), '', "not where others of the client's pass");
is($seen->("/header/pass/off$chat", 'X-Cache-Salt: mine'), 'mine', 'but where there is no salt');

###############################################################################

# Nobody is told of it.

($r) = ask_for($t, $chat, $body, 'X-API-Key: key-alice');
unlike($r, qr/$of{alice}/, 'not in the answer');
unlike($t->read_file('audit.log'), qr/$of{alice}|$of{carol}|$by_client{bob}/, 'not in the log');
# nginx itself writes headers into that, when it is told to write everything.
unlike(join("\n", grep { !/\[debug\]/ } grep { /\[\w+\]/ } split /\n/, $t->read_file('error.log')),
	qr/$of{alice}|$of{carol}|$by_client{bob}/, 'nor in the error log');

# It stays: over a reload, with the state over a restart, and with a secret in any case.

my $secret = salt_of("/secret$chat", 'alice');
like($secret, qr/^$salt$/, 'by a secret');
isnt($secret, $of{alice}, 'by a secret, another one');
$t->reload();
is(salt_of($chat, 'alice'), $of{alice}, 'after a reload');
$t->stop();
unlike($t->read_file('state/zone'), qr/$of{alice}/, 'not in the state');
$t->run();
is(salt_of($chat, 'alice'), $of{alice}, 'after a restart, with its state');
is(salt_of("/secret$chat", 'alice'), $secret, 'after a restart, by the secret');
$t->stop();
conf($t, '');
$t->run();
isnt(salt_of($chat, 'alice'), $of{alice}, 'after a restart, without its state');
is(salt_of("/secret$chat", 'alice'), $secret, 'after a restart without its state, by the secret');

###############################################################################

# The body that the engine got.
sub got {
	my ($uri, $sent, $client) = @_;
	my $id = new_id();
	my $r = ask(post($uri, $sent, "X-API-Key: key-$client", "X-Request-ID: $id"));
	return engine_body(8081, $id) // 'nothing: ' . (status($r) // 'none');
}

sub salt_of {
	my ($uri, $client) = @_;
	my $got = eval { JSON::PP->new->decode(got($uri, $body, $client)) };
	return $got ? $got->{cache_salt} // 'none' : 'no body';
}

###############################################################################

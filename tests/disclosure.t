#!/usr/bin/perl

# A credential goes to nobody but us, whatever else a client puts it into: other headers don't take it to
# the engine, and neither they nor a path, a model's name or a request's id take it into the log.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/get header headers hs256 json keys_file status/;
use Tollgate::Client;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http http_v2 access proxy rewrite/)->has_daemon('curl')->plan(52)
	->write_file_expand('nginx.conf', <<'EOF');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone      zone=tollgate:1m;
    tollgate_endpoints  +*:/*;
    tollgate_tier      free { requests 100000r/h; }
    tollgate_api_keys  keys.json;
    tollgate_audit_log %%TESTDIR%%/audit.log;

    server {
        listen       127.0.0.1:8080;
        listen       127.0.0.1:8082 http2;

        tollgate on;
        tollgate_default_tier free;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /own/ {
            tollgate_api_key_header X-My-Key;
            proxy_pass http://127.0.0.1:8081;
        }

        location /granted/ {
            satisfy any;
            allow all;
            proxy_pass http://127.0.0.1:8081;
        }

        location /jwt/ {
            tollgate_auth jwt;
            tollgate_jwt_key_file secret;
            proxy_pass http://127.0.0.1:8081;
        }

        location /passed/ {
            tollgate_pass_credentials on;
            proxy_pass http://127.0.0.1:8081;
        }
    }
}

EOF

my $key = 'imported-key-of-some-length';
my $secret = 'a secret of thirty-two bytes, or more';
my $token = hs256($secret, { sub => 'jo', exp => time() + 3600 });
my $hex = 'ab' x 16;
my $wrong = 'tg_' . 'w' x 43;
$t->write_file('secret', $secret);
$t->write_file('keys.json', keys_file(
	{ key => $key, client => 'acme', tier => 'free' },
	{ key => $hex, client => 'hex', tier => 'free' },
	{ key => '12', client => 'short', tier => 'free' },
));
$t->run_daemon(\&echo, port(8081));
$t->run();
$t->waitforsocket('127.0.0.1:' . port(8081));

###############################################################################

my $r;

# other headers

for my $header ("Api-Key: $key", "X-Goog-Api-Key: $key", "Proxy-Authorization: Bearer $key", "Cookie: a=b; key=$key",
	"X-Whatever: $key", "X_API_Key: $key", "Authorization: Bearer $key", "Authorization: Token $key")
{
	$r = get('/v1/models', "X-API-Key: $key", $header);
	is(status($r), 200, "$header: let in") if $header !~ /Token/;
	unlike(http_content($r), qr/\Q$key/, "$header: not for the engine");
}
$r = get('/own/x', "X-My-Key: $key", "Authorization: Bearer $key", "X-API-Key: $key");
is(status($r), 200, 'a header of the operator\'s: let in');
unlike(http_content($r), qr/\Q$key/, 'a header of the operator\'s: nor any other one');
$r = get('/jwt/x', "Authorization: Bearer $token", "X-Forwarded-Access-Token: $token");
is(status($r), 200, 'a token: let in');
unlike(http_content($r), qr/\Q$token/, 'a token: not for the engine');

unlike(curl('--http2-prior-knowledge', '-H', "X-API-Key: $key", '-H', "Api-Key: $key",
	'http://127.0.0.1:' . port(8082) . '/v1/models'), qr/\Q$key/, 'HTTP/2');

# the twins

$r = http_content(get('/own/x', "X-My-Key: $key", 'Authorization: Bearer engine', 'Api-Key: other', 'Cookie: a=b'));
like($r, qr/^Authorization: Bearer engine\n/m, 'another credential stays');
like($r, qr/^Api-Key: other\n/m, 'in any header');
like($r, qr/^Cookie: a=b\n/m, 'a cookie stays');
like(http_content(get('/passed/x', "X-API-Key: $key", "Api-Key: $key")), qr/^Api-Key: \Q$key\E\n/mi,
	'with tollgate_pass_credentials it goes on');

# what was not accepted takes nothing away, but from headers for credentials

$r = http_content(get('/granted/x', 'X-API-Key: 192.0.2.1', 'X-Forwarded-For: 192.0.2.1'));
like($r, qr/^X-Forwarded-For: 192.0.2.1\n/m, 'not accepted: other headers stay');
unlike($r, qr/^X-API-Key/mi, 'not accepted: the header itself is taken off');
$r = http_content(get('/granted/x', "X-API-Key: $key", "Proxy-Authorization: Bearer $key"));
unlike($r, qr/\Q$key/, 'not accepted: and others like it');

# a short key takes nothing away that merely has it

$r = http_content(http("POST /v1/x HTTP/1.0\r\nHost: 12\r\nX-API-Key: 12\r\nContent-Length: 12\r\n"
	. "X-Number: 121\r\nX-Same: 12\r\n\r\n123456789012"));
like($r, qr/^Content-Length: 12\n/m, 'a short key: the length stays');
like($r, qr/^X-Number: 121\n/m, 'a short key: and what is longer');
unlike($r, qr/^X-Same/m, 'a short key: not what is the same');

# the id of the request

for my $id ($key, $wrong, 'tg_short', 'sk-proj-1234', 'eyJhbGciOiJIUzI1NiJ9.e30.abc', substr($key, 0, 20),
	"req-$key", "Root=$key.1", 'Root=sk-proj-0123456789abcdef') {
	$r = get('/v1/models', "X-API-Key: $key", "X-Request-ID: $id");
	like(header($r, 'X-Request-ID'), qr/^[0-9a-f]{32}$/, "X-Request-ID: $id: replaced");
}
$r = get('/v1/models', "Authorization: Bearer $wrong", "X-Request-ID: $wrong");
is(status($r), 401, 'a wrong key: refused');
like(header($r, 'X-Request-ID'), qr/^[0-9a-f]{32}$/, 'a wrong key: replaced');
$r = get('/v1/models', 'Api-Key: 0123456789abcdef0123', 'X-Request-ID: 0123456789abcdef0123');
like(header($r, 'X-Request-ID'), qr/^[0-9a-f]{32}$/, 'in a header that is not read: replaced');
$r = get('/v1/models', "X-API-Key: $key", 'X-Request-ID: 0123456789abcdef0123');
is(header($r, 'X-Request-ID'), '0123456789abcdef0123', 'another id stays');
like(http_content($r), qr/^X-Request-ID: 0123456789abcdef0123\n/m, 'for the engine as well');

# the log: path, model, traceparent

get("/v1/models/$key", "X-API-Key: $key");
get("/v1/models/$wrong");
get("/v1/models/$token");
get('/v1/models/llama', "X-API-Key: $hex", "traceparent: 00-$hex-b7ad6b7169203331-01");
my $body = json({ model => $key, prompt => 'hello' });
http(join "\r\n", 'POST /v1/completions HTTP/1.0', 'Host: localhost', "X-API-Key: $key",
	'Content-Length: ' . length $body, '', $body);

$t->stop();
my $log = $t->read_file('audit.log');
unlike($log, qr/\Q$key/, 'log: not the key');
unlike($log, qr/\Q$hex/, 'log: nor as a traceparent');
unlike($log, qr/\Q$wrong/, 'log: not what looks like one');
unlike($log, qr/\Q$token/, 'log: nor a token');
unlike($log, qr/sk-proj|tg_short|eyJ/, 'log: nor an id that looks like one');
my @lines = audit_lines($t, 'audit.log');
is(scalar(grep { $_->{path} eq '/v1/models/[credential]' } @lines), 3, 'log: what is in its place');
is((grep { $_->{path} eq '/v1/completions' } @lines)[0]{model}, '[credential]', 'log: as a model');
is(scalar(grep { $_->{path} eq '/v1/models/llama' } @lines), 1, 'log: other paths as they are');

###############################################################################

# Answers with the head of the request.
sub echo {
	my ($port) = @_;
	my $server = IO::Socket::INET->new(
		Proto => 'tcp', LocalAddr => "127.0.0.1:$port", Listen => 5, ReuseAddr => 1)
		or die "Can't create listening socket: $!\n";
	while (my $client = $server->accept()) {
		my ($line, $head) = (scalar(<$client>) // '', '');
		while (<$client>) {
			last if /^\x0d?\x0a?$/;
			$head .= s/\x0d//r;
		}
		my ($length) = $head =~ /^Content-Length: (\d+)/mi;
		read $client, my $body, $length if $length;
		print $client "HTTP/1.1 200 OK\x0d\x0aConnection: close\x0d\x0aContent-Length: " . length($head)
			. "\x0d\x0a\x0d\x0a$head";
		close $client;
	}
}

###############################################################################

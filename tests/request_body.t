#!/usr/bin/perl

# Bodies of requests: which are read, which are refused, and that the engine gets what was read, byte
# for byte, but for the one edit that asks a stream for its usage.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/header json keys_file status/;
use Tollgate::Client;
use Tollgate::Engine qw/needs_engine start_engine stats/;
use Tollgate::Metered;

select STDERR; $| = 1;
select STDOUT; $| = 1;

needs_engine();

my $t = Test::Nginx->new()->has(qw/http proxy rewrite http_v2/)->has_daemon('curl')->plan(182);

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone  zone=tollgate:1m;
    tollgate_endpoints  +*:/*;
    tollgate_tier  open { tokens 100m/h; }
    tollgate_tier  once { requests 1r/h; }
    tollgate_tier  uncounted { requests 1000r/m; }

    tollgate_api_keys   keys.json;
    tollgate_audit_log  %%TESTDIR%%/audit.log;

    client_max_body_size  64m;

    server {
        listen       127.0.0.1:8080;
        listen       127.0.0.1:8082 http2;
        server_name  localhost;

        tollgate on;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /small/ {
            tollgate_max_body  4k;
            proxy_pass         http://127.0.0.1:8081/;
        }

        location /spilled/ {
            client_body_buffer_size  1k;
            proxy_pass               http://127.0.0.1:8081/;
        }

        location /in-file/ {
            client_body_in_file_only  clean;
            proxy_pass                http://127.0.0.1:8081/;
        }

        location /in-memory/ {
            client_body_buffer_size       1m;
            client_body_in_single_buffer  on;
            proxy_pass                    http://127.0.0.1:8081/;
        }

        location /unbuffered/ {
            proxy_request_buffering  off;
            proxy_http_version       1.1;
            proxy_pass               http://127.0.0.1:8081/;
        }
    }
}

EOC

$t->write_file('keys.json', keys_file(
	{ key => 'key-open', client => 'acme', tier => 'open' },
	{ key => 'key-once', client => 'once', tier => 'once' },
	{ key => 'key-uncounted', client => 'uncounted', tier => 'uncounted' },
));
start_engine($t, 8081);
$t->run();

my $key = 'X-API-Key: key-open';
my $chat = '/v1/chat/completions';
my @messages = (messages => [ { role => 'user', content => 'one two three' } ]);

###############################################################################

# What no engine should get to see: each could be read in two ways, or not at all.

my %endpoint = (
	openai => $chat,
	anthropic => '/v1/messages',
	ollama => '/api/chat',
	tgi => '/generate',
);
my %bad = (
	'no body' => '',
	'a body cut short' => '{"model":"m"',
	'an array' => '[{"model":"m"}]',
	'a string' => '"model"',
	'null' => 'null',
	'two objects' => '{"model":"m"}{"model":"m"}',
	'no UTF-8' => "{\"model\":\"m\xff\"}",
	'a key twice' => '{"model":"m","model":"n"}',
	'a key twice, once escaped' => '{"model":"m","mod\u0065l":"n"}',
	'a key twice, in capitals' => '{"model":"m","MODEL":"n"}',
	'a key in capitals' => '{"Model":"m"}',
	'a key with a long s' => '{"model":"m","' . "\xc5\xbf" . 'tream":true}',
	'a key with a long s, escaped' => '{"model":"m","\u017ftream":true}',
	'a key with the Kelvin sign' => '{"model":"m","max_to\u212aens":5}',
	'a model that is a number' => '{"model":1}',
	'a model with a line feed' => '{"model":"m\n"}',
	'a model of 257 bytes' => '{"model":"' . 'm' x 257 . '"}',
	'a stream that is a string' => '{"model":"m","stream":"true"}',
	'a depth of 121' => '{"model":"m","deep":' . '[' x 120 . ']' x 120 . '}',
	'a depth of 100,000' => '{"model":"m","deep":' . '[' x 100_000 . ']' x 100_000 . '}',
);
for my $dialect (sort keys %endpoint) {
	for my $name (sort keys %bad) {
		my ($r, $line) = ask_for($t, $endpoint{$dialect}, $bad{$name}, $key);
		is(outcome($r, $line), "400 $dialect malformed_request", "$dialect: $name");
	}
}
is(stats(8081)->{started}, 0, 'refused: none reaches the engine');
is(engine_body(8081, 't-1'), undef, 'refused: not even as garbage');

my %good = (
	'keys of no consequence twice' => ',"user":"a","user":"b","User":"c"',
	'a policy key below' => ',"metadata":{"model":"n","Model":"n"}',
	'blanks' => " \r\n\t,\n\"user\" : \"a\" ",
	'a depth of 120' => ',"deep":' . '[' x 119 . ']' x 119,
	'nulls' => ',"stream":false,"n":null,"max_tokens":null,"stop":null',
);
for my $name (sort keys %good) {
	my $body = json({ model => 'm', @messages });
	$body =~ s/\}$/$good{$name}}/;
	my ($r, $line) = ask_for($t, $chat, $body, $key);
	is(outcome($r, $line), '200 answer -', "let through: $name");
}
is(status(ask(post('/v1/messages', { model => 'm' x 256, max_tokens => 5, @messages }, $key))), 200,
	'let through: a model of 256 bytes');

my ($r, $line) = ask_for($t, $chat, { model => 'm', n => 0, @messages }, $key);
is(outcome($r, $line), '400 openai malformed_request', 'no choices');
($r, $line) = ask_for($t, $chat, { model => 'm', max_tokens => 'five', @messages }, $key);
is(outcome($r, $line), '400 openai malformed_request', 'a bound that is no number');
($r, $line) = ask_for($t, $chat,
	{ model => 'm', stream => JSON::PP::true, stream_options => [], @messages }, $key);
is(outcome($r, $line), '400 openai malformed_request', 'stream_options that are no object');

# No other way around it.
$r = ask(request("POST $chat", $key, 'Content-Type: text/plain', 'Content-Length: 11') . '{"MODEL":1}');
is(status($r), 400, 'a body is read whatever its Content-Type says');
$r = ask(post("/V1//x/../Chat/COMPLETIONS/?x", '{"MODEL":1}', $key));
is(status($r), 400, 'a body is read however the path is spelt');
$r = ask(chunked($chat, '{"MODEL":1}', 3, $key));
is(status($r), 400, 'a body is read that comes in chunks');
is(status(h2($t, $chat, '{"MODEL":1}', $key)), 400, 'HTTP/2: refused');
is(status(h2($t, $chat, json({ model => 'm', @messages }), $key)), 200, 'HTTP/2: let through');

###############################################################################

# Content-Encoding

for my $dialect (sort keys %endpoint) {
	($r, $line) = ask_for($t, $endpoint{$dialect}, "\x1f\x8b\x08\x00", $key, 'Content-Encoding: gzip');
	is(outcome($r, $line), "415 $dialect unsupported_encoding", "$dialect: a compressed body");
}
is(header($r, 'Accept-Encoding'), 'identity', 'a compressed body: what would be accepted');
$r = ask(request("POST $chat", $key, 'Content-Encoding: gzip', 'Content-Length: 1000000'));
is(status($r), 415, 'a compressed body: refused before it comes');
for my $encoding (qw/identity Identity/) {
	$r = ask(post($chat, { model => 'm', @messages }, $key, "Content-Encoding: $encoding"));
	is(status($r), 200, "Content-Encoding: $encoding");
}
$r = ask(post($chat, { model => 'm', @messages }, $key, 'Content-Encoding: identity',
	'Content-Encoding: br'));
is(status($r), 415, 'a second Content-Encoding');

###############################################################################

# The size. What is over it is refused before it comes, if the client says so.

for my $dialect (sort keys %endpoint) {
	my $id = new_id();
	$r = ask(request("POST /small$endpoint{$dialect}", $key, "X-Request-ID: $id",
		'Content-Length: 4097'));
	is(outcome($r, audited($t, $id)), "413 $dialect request_too_large",
		"$dialect: too large, refused before it comes");
}
my $fits = sized(4096);
my $large = sized(4097);
($r, $line) = ask_for($t, "/small$chat", $large, $key);
is(outcome($r, $line), '413 openai request_too_large', 'too large');
is(engine_body(8081, $line->{request_id}), undef, 'too large: not for the engine');
$r = ask(chunked("/small$chat", $large, 1000, $key));
is(outcome($r), '413 openai', 'too large in chunks');
# What curl makes of an answer that comes before its body is sent, is a matter of time.
my $early = new_id();
h2($t, "/small$chat", $large, $key, "X-Request-ID: $early");
is((audited($t, $early))[0]{reason}, 'request_too_large', 'too large, HTTP/2');
is(status(h2($t, "/small$chat", $large, 'Content-Length:', $key)), 413, 'too large, HTTP/2, no length');
is(status(ask(post("/small$chat", $fits, $key))), 200, 'as large as may be');
is(status(ask(chunked("/small$chat", $fits, 1000, $key))), 200, 'as large as may be in chunks');
is(status(h2($t, "/small$chat", $fits, $key)), 200, 'as large as may be, HTTP/2');
is(status(h2($t, "/small$chat", $fits, 'Content-Length:', $key)), 200,
	'as large as may be, HTTP/2, no length');

# 8m unless something else is said
my $most = sized(8 << 20);
is(status(ask(post($chat, $most, $key))), 200, '8 MiB');
$r = ask(request("POST $chat", $key, 'Content-Length: ' . ((8 << 20) + 1)));
is(status($r), 413, 'one byte more');

###############################################################################

# Whom we don't know, or who has nothing left, needn't send a body.

my $huge = 'Content-Length: 7000000';
for my $lines ([$huge], ['Transfer-Encoding: chunked'], [$huge, 'Expect: 100-continue']) {
	my $connection = connection();
	$r = $connection->ask(request("POST $chat", 'X-API-Key: wrong', @$lines));
	is(status($r) . ' ' . $connection->informational(), '401 0',
		"a stranger is refused before the body comes: $lines->[-1]");
}
is(status(ask(post($chat, { model => 'm', @messages }, 'X-API-Key: key-once'))), 200, 'one request');
for my $lines ([$huge], ['Transfer-Encoding: chunked'], [$huge, 'Expect: 100-continue']) {
	my $connection = connection();
	$r = $connection->ask(request("POST $chat", 'X-API-Key: key-once', @$lines));
	is(status($r) . ' ' . $connection->informational(), '429 0',
		"a spent limit refuses before the body comes: $lines->[-1]");
}
my $body = json({ model => 'm', @messages });
my $connection = connection();
$r = $connection->ask(request("POST $chat", $key, 'Content-Length: ' . length $body,
	'Expect: 100-continue') . $body);
is(status($r) . ' ' . $connection->informational(), '200 1', 'a client is asked for its body');

###############################################################################

# What isn't read passes as it is, where no tokens are counted. (Where they are, see endpoints.t.)

my $uncounted = 'X-API-Key: key-uncounted';

my $garbage = join '', map { chr } 0 .. 255;
my $multipart = "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n--b--\r\n";
for (
	['an unknown endpoint', '/echo/v1/files', $garbage],
	['an unknown endpoint, compressed', '/echo/v1/files', $garbage, 'Content-Encoding: gzip'],
	['an unknown endpoint, beyond the size', '/small/echo/v1/files', $garbage x 100],
	['below an endpoint', "/echo/v1/embeddings/1", '{"model":"m","MODEL":"n"}'],
	['a form', '/echo/v1/audio/transcriptions', $multipart,
		'Content-Type: multipart/form-data; boundary=b'],
) {
	my ($name, $uri, $sent, @lines) = @$_;
	my $id = new_id();
	$r = ask(request("POST $uri", $uncounted, "X-Request-ID: $id",
		'Content-Length: ' . length $sent, @lines) . $sent);
	ok(((content_json($r) // {})->{body} // '') eq $sent, "unread: $name");
	($line) = audited($t, $id);
	is(join(' ', map { $line->{$_} // '-' } qw/decision model usage/), 'allow - -',
		"unread: $name, in the log");
}
for my $method (qw/GET PUT DELETE/) {
	$r = ask(request("$method /echo/v1/embeddings", $uncounted, 'Content-Length: 11') . '{"MODEL":1}');
	is((content_json($r) // {})->{body}, '{"MODEL":1}', "unread: $method");
}

###############################################################################

# The engine gets what was sent, however it comes.

my $text = "tab \\t quote \\\" umlaut \xc3\xa4 escaped \\u00e4 slash \\/ number 1.50e+2 ";
my $short = qq({"model" : "m",\r\n "messages":[{"role":"user","content":"$text"}],"x":1.50e+2 }\n);
my $long = qq({"model" : "m", "messages":[{"role":"user","content":") . $text x 5000 . qq("}] });
my %body = (short => $short, long => $long);

for my $place ('', qw!/in-memory /spilled /in-file /unbuffered!) {
	my $uri = "$place$chat";
	for my $size (sort keys %body) {
		my $sent = $body{$size};
		my $where = ($place || '/') . ", $size";
		arrives(sub { ask(post($uri, $sent, @_)) }, $sent, "unchanged: $where");
		arrives(sub { ask(chunked($uri, $sent, 1000, @_)) }, $sent, "unchanged: $where, in chunks");
		arrives(sub { h2($t, $uri, $sent, @_) }, $sent,
			"unchanged: $where, HTTP/2");
	}
	arrives(sub { bytewise(post($uri, $short, @_)) }, $short, "unchanged: $place, byte by byte");
	arrives(sub { bytewise(chunked($uri, $short, 1, @_)) }, $short,
		"unchanged: $place, byte by byte in chunks");
}

ok($t->read_file('error.log') =~ m/client request body is buffered to a temporary file/,
	'some of them in a file');

###############################################################################

# Status, dialect (or what it is instead) and reason.
sub outcome {
	my ($response, $line) = @_;
	my $json = content_json($response) // {};
	my $error = $json->{error};
	my $dialect = !defined $error ? 'answer'
		: ref $error ? (($json->{type} // '') eq 'error' ? 'anthropic'
			: exists $error->{code} && exists $error->{param} ? 'openai' : 'unknown')
		: exists $json->{error_type} ? 'tgi' : 'ollama';
	return join ' ', status($response) // 'none', $dialect, $line ? $line->{reason} // '-' : ();
}

# A request to chat of so many bytes.
sub sized {
	my ($size) = @_;
	my $empty = json({ model => 'm', messages => [ { role => 'user', content => '' } ] });
	my $content = 'x' x ($size - length $empty);
	return $empty =~ s/"content":"/"content":"$content/r;
}

# Sends a byte at a time.
sub bytewise {
	my ($request) = @_;
	my $connection = connection();
	my ($head, $sent) = $request =~ /^(.*?\r\n\r\n)(.*)$/s;
	$connection->send($_) for $head, split //, $sent;
	return $connection->answer();
}

# Whether what a request sends is what the engine gets. $send is called with header lines.
sub arrives {
	my ($send, $expected, $name) = @_;
	my $id = new_id();
	$send->($key, "X-Request-ID: $id");
	my $got = engine_body(8081, $id) // 'nothing';
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok($got eq $expected, $name)
		or diag('got ' . length($got) . ' bytes: ' . substr $got, 0, 200);
}

###############################################################################

#!/usr/bin/perl

# Which requests come to the engine at all. A path that nginx and the engine could read in two ways
# doesn't, whoever asks, nor does one that is not known to be for clients. And where tokens or money are
# counted, nothing does whose tokens are not read, unless it is known to take none.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/header keys_file status/;
use Tollgate::Client;
use Tollgate::Metered;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite http_v2/)->has_daemon('curl')->plan(299)
	->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone  zone=tollgate:1m;
    tollgate_price * input=1 output=1;

    tollgate_tier  plain   { requests 10000r/m; }
    tollgate_tier  tokens  { tokens 100m/h; }
    tollgate_tier  input   { input_tokens 100m/h; }
    tollgate_tier  output  { output_tokens 100m/h; }
    tollgate_tier  budget  { budget 100000/day; }
    tollgate_tier  blocks  { model m* { tokens 100m/h; } }

    tollgate_limit counted   key=everybody tokens=100m/h;
    tollgate_limit uncounted key=everybody requests=10000r/m;

    tollgate_api_keys   keys.json;
    tollgate_audit_log  %%TESTDIR%%/audit.log;

    server {
        listen       127.0.0.1:8080;
        listen       127.0.0.1:8082 http2;
        server_name  localhost;

        tollgate         on;
        tollgate_engine  vllm;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /replaced/ {
            proxy_pass http://127.0.0.1:8081/;
        }

        location /llamacpp/ {
            tollgate_engine  llamacpp;
            rewrite          ^/llamacpp(.*) $1 break;
            proxy_pass       http://127.0.0.1:8081;
        }

        location /rule/ {
            tollgate_apply  counted;
            rewrite         ^/rule(.*) $1 break;
            proxy_pass      http://127.0.0.1:8081;
        }

        location /anybody/ {
            tollgate_auth   none;
            tollgate_apply  counted;
            rewrite         ^/anybody(.*) $1 break;
            proxy_pass      http://127.0.0.1:8081;
        }

        location /anybody-uncounted/ {
            tollgate_auth   none;
            tollgate_apply  uncounted;
            rewrite         ^/anybody-uncounted(.*) $1 break;
            proxy_pass      http://127.0.0.1:8081;
        }

        location /dry/ {
            tollgate_dry_run  on;
            rewrite           ^/dry(.*) $1 break;
            proxy_pass        http://127.0.0.1:8081;
        }

        location /opened/ {
            tollgate_endpoints  +POST:/v1/audio/* +GET:/v1/realtime -/v1/embeddings -POST:/v1/rerank
                                +POST:/abort_requests +GET:/v1/models/*;
            rewrite             ^/opened(.*) $1 break;
            proxy_pass          http://127.0.0.1:8081;

            location /opened/again/ {
                tollgate_endpoints  default;
                rewrite             ^/opened/again(.*) $1 break;
                proxy_pass          http://127.0.0.1:8081;
            }
        }
    }

    server {
        listen       127.0.0.1:8083;
        server_name  localhost;

        merge_slashes  off;

        tollgate         on;
        tollgate_engine  anthropic;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /off/ {
            tollgate    off;
            proxy_pass  http://127.0.0.1:8081;
        }
    }

    server {
        listen       127.0.0.1:8081;
        server_name  localhost;

        merge_slashes              off;
        ignore_invalid_headers     off;
        client_max_body_size       1m;

        location / {
            add_header  X-Saw "$request_method $request_uri";
            return      200 "{}";
        }
    }
}

EOC

my @tiers = qw/plain tokens input output budget blocks/;
$t->write_file('keys.json', keys_file(
	map { { key => "key-$_", client => $_, tier => $_ } } @tiers));
$t->run();

my %key = map { ($_ => "X-API-Key: key-$_") } @tiers;
my $chat = '/v1/chat/completions';
my ($r, $line);

###############################################################################

# A path that can be read in two ways is refused, with a key and without, read or not.

my @odd = ("$chat%0A", "$chat%0a", "$chat%0D", "$chat%00", "$chat%09", "$chat%1f", "$chat%7F",
	"$chat%5c", "$chat\\", '/%5c../v1/models', "$chat%250A", "$chat%25250a", "$chat%255c", '/%0A/../v1/models',
	'/v1/x/%252e%252e/chat/completions', '/v1/x/..;/chat/completions', 
	'/tokenize%0A', '/v1/models%0a');
for my $path (@odd) {
	# nginx itself refuses a NUL.
	my $ours = $path !~ /%00/;
	for my $who ($key{tokens}, $key{plain}, 'X-API-Key: wrong') {
		$r = ask(post($path, { model => 'm' }, $who));
		is(status($r), 400, "$path: $who");
		unlike($r, qr/^X-Saw/m, "$path: not for the engine") if $who eq $key{plain};
	}
	is((content_json($r) // {})->{error}{code}, 'invalid_request', "$path: our answer") if $ours;
}
is(status(ask(request("$_ $chat%0A", $key{tokens}))), 400, "odd: $_") for qw/GET DELETE OPTIONS/;
is(status(ask(post("/anybody$chat%0A", '{}'))), 400, 'odd: where nobody authenticates');
is(status(ask(post("/replaced$chat%0A", '{}', $key{tokens}))), 400, 'odd: where the path is replaced');
h2($t, "$chat%0A", '{}', $key{tokens}, 'X-Request-ID: h2-odd');
is((audited($t, 'h2-odd'))[0]{reason}, 'malformed_path', 'odd, HTTP/2');
is(status(ask(post("http://localhost$chat%0A", '{}', $key{tokens}))), 400, 'odd, absolute');

($r, $line) = ask_for($t, "$chat%0A", '{}', $key{tokens});
is("$line->{decision} $line->{reason} $line->{status}", 'deny malformed_path 400', 'odd: the log');
is(($line->{client} // '-'), '-', 'odd: before anybody is asked who he is');

for my $path ('//v1/messages', '/v1//messages', '/v1/messages//', '/x//') {
	$r = ask(post($path, {}, $key{plain}), port => 8083);
	is(status($r), 400, "slashes are not merged: $path");
	is((content_json($r) // {})->{error}{type}, 'invalid_request_error', "$path: in its form");
}
is(status(ask(post($_, { model => 'm' }, $key{tokens}), port => 8083)), 200, "good slashes: $_")
	for '/v1/messages', '/v1/messages/';
is(status(ask(post('/off//x%0A', {}), port => 8083)), 200, 'where the module is off');

# What honest clients send passes.
# For whoever is sent "$uri", the query begins there.
for my $path ("$chat%3f", "$chat%3Fx=1", "$chat%23") {
	($r, $line) = ask_for($t, $path, { model => 'm' }, $key{plain});
	is($line->{model}, 'm', "$path: read");
}

for my $path ($chat, "$chat/", "$chat?a=%0A#\\", "$chat#x", '/v1/%63hat/completions') {
	$r = ask(post($path, { model => 'm' }, $key{tokens}));
	is(status($r), 200, "let through: $path");
}
is(status(ask(request("GET $_", $key{tokens}))), 200, "let through: $_")
	for map { "/opened/v1/models/$_" } 'org-1.5%20x', '..x', '%C3%A9', 'x%25y';

# nginx puts it right for itself, and forwards it as it is, unless it puts a path of its own together.
for my $path ("/$chat", "/x/..$chat", "/./$chat") {
	is(status(ask(post($path, { model => 'm' }, $key{tokens}))), 400, "not put right: $path");
	is(status(ask(post("/replaced$path", { model => 'm' }, $key{tokens}))), 200, "put right: $path")
		unless $path =~ m!^/\.!;
}

$r = ask(post("/dry$chat%0A", { model => 'm' }, $key{tokens}, 'X-Request-ID: dry-odd'));
is(status($r), 200, 'a dry run: let through');
($line) = audited($t, 'dry-odd');
is($line->{reason}, 'malformed_path', 'a dry run: and reported');

###############################################################################

# What is not known to be for clients is refused, counted or not; where tokens are counted, what is not read must
# be known to take none.

my @uncounted = ('POST /v1/audio/transcriptions', 'GET /v1/realtime', 'HEAD /v1/realtime');
my @refused = map { "POST $_" } '/v1/whatever', '/pause', '/tokenize/',
	'/Tokenize', '/x/tokenize', '/collective_rpc', "$chat/x", '/';
push @refused, "PUT $chat", 'DELETE /adapters/x', 'PATCH /v1/models', 'PUT /tokenize', 'FOO /x',
	'GET /x/V1/realtime/', 'GET /whatever', "GET $chat", "OPTIONS $chat", 'OPTIONS /v1/realtime', 'GET /metrics',
	'GET /docs', 'HEAD /version';
for my $request (@uncounted, @refused) {
	my $id = new_id();
	$r = ask(request($request, $key{tokens}, "X-Request-ID: $id", 'Content-Length: 0'),
		head => scalar($request =~ /^HEAD/));
	is(status($r), 403, "counted: $request");
	unlike($r, qr/^X-Saw/m, "counted: $request: not for the engine");
	($line) = audited($t, $id);
	is("$line->{decision} $line->{reason}", 'deny endpoint_denied', "counted: $request: the log");
	is(status(ask(request($request, 'Content-Length: 0'), head => scalar($request =~ /^HEAD/))), 401,
		"counted: $request: a stranger");
	is(status(ask(request($request, $key{plain}, 'Content-Length: 0'),
		head => scalar($request =~ /^HEAD/))), (grep { $_ eq $request } @uncounted) ? 200 : 403,
		"not counted: $request");
}
for my $request ('GET /v1/models', 'HEAD /health', 'POST /tokenize', 'POST /detokenize', 'POST /v1/messages/count_tokens',
	'POST /ping')
{
	$r = ask(request($request, $key{tokens}, 'Content-Length: 0'), head => scalar($request =~ /^HEAD/));
	is(status($r), 200, "harmless: $request");
}

$r = ask(post('/v1/whatever', '{}', $key{tokens}));
is_deeply([ @{content_json($r)->{error}}{qw/type code param/} ],
	['invalid_request_error', 'access_denied', undef], 'counted: the answer');
is(status(ask(post('/v1/whatever', '{}', $key{$_}))), 403, "counted: by $_")
	for qw/input output budget blocks/;
is(status(ask(post('/rule/v1/whatever', '{}', $key{plain}))), 403, 'counted: by a rule');
is(status(ask(post('/anybody/v1/whatever', '{}'))), 403, 'counted: for anybody');
is(status(ask(post('/anybody-uncounted/v1/whatever', '{}'))), 403, 'not counted: for anybody');
is(status(ask(post('/anybody-uncounted/v1/audio/transcriptions', '{}'))), 200, 'not counted: speech, for anybody');
# What curl makes of an answer that comes before its body is sent, is a matter of time.
h2($t, '/v1/whatever', '{}', $key{tokens}, 'X-Request-ID: h2-whatever');
is((audited($t, 'h2-whatever'))[0]{reason}, 'endpoint_denied', 'counted, HTTP/2');
is(status(h2($t, '/tokenize', '{}', $key{tokens})), 200, 'harmless, HTTP/2');

# Nobody has to send a body for that.
my $connection = connection();
$r = $connection->ask(request('POST /v1/whatever', $key{tokens}, 'Content-Length: 700000',
	'Expect: 100-continue'));
is(status($r) . ' ' . $connection->informational(), '403 0', 'counted: before the body comes');

# Other streams than one's own are not for clients, by GET neither.
for my $request ('GET /llamacpp/v1/stream?conv_id=x', 'DELETE /llamacpp/v1/stream',
	'POST /llamacpp/v1/streams/lookup', 'GET /llamacpp/slots', 'GET /llamacpp/tools',
	'POST /llamacpp/props', 'POST /llamacpp/v1/chat/completions/control')
{
	is(status(ask(request($request, $key{tokens}, 'Content-Length: 0'))), 403, $request);
}
for my $request ('GET /llamacpp/v1/stream', 'GET /llamacpp/slots', 'POST /llamacpp/v1/streams/lookup',
	'POST /abort_requests')
{
	is(status(ask(request($request, $key{plain}, 'Content-Length: 0'))), 403, "not counted: $request");
}
is(status(ask(request($_, $key{plain}, 'Content-Length: 0'))), 200, "not counted: $_")
	for 'GET /llamacpp/models', 'POST /opened/abort_requests';
is(status(ask(request($_, $key{plain}, 'Content-Length: 0'))), 403, "not counted: $_")
	for 'GET /llamacpp/tools', 'POST /llamacpp/slots/0', 'GET /llamacpp/props';

my $id = new_id();
is(status(ask(post('/dry/v1/whatever', '{}', $key{tokens}, "X-Request-ID: $id"))), 200,
	'a dry run: let through');
($line) = audited($t, $id);
is($line->{reason}, 'endpoint_denied', 'a dry run: and reported');

###############################################################################

# What the operator opens and closes.

for (
	['POST /opened/v1/audio/transcriptions', 200],
	['PUT /opened/v1/audio/transcriptions', 403],
	['POST /opened/v1/Audio/transcriptions', 403],
	['GET /opened/v1/realtime', 200],
	['POST /opened/v1/whatever', 403],
	['POST /opened/tokenize', 200],
	['POST /opened/v1/embeddings', 403],
	['POST /opened/x/V1/embeddings/', 403],
	['GET /opened/v1/embeddings', 403],
	['POST /opened/v1/rerank', 403],
	['GET /opened/v1/rerank', 403],
	['POST /opened/again/v1/audio/transcriptions', 403],
) {
	my ($request, $status) = @$_;
	$r = ask(request($request, $key{tokens}, 'Content-Length: 0'));
	is(status($r), $status, $request);
}
is(status(ask(post('/opened/again/v1/embeddings', { input => 'x' }, $key{tokens}))), 200,
	'closed above, open here');
is(status(ask(post('/opened/v1/embeddings', { input => 'x' }, $key{plain}))), 403,
	'closed, counted or not');
is(status(ask(post('/opened/v1/embeddings', { input => 'x' }))), 401, 'closed: a stranger');

###############################################################################

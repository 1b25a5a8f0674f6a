#!/usr/bin/perl

# Which models a client may use: by its tier, its key and its token, of which all that say something must
# allow. What is judged is what the engine reads.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/header hs256 json keys_file status/;
use Tollgate::Client;
use Tollgate::Echo;
use Tollgate::Metered;

use JSON::PP qw//;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite http_v2/)->has_daemon('curl')->plan(242)
	->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone  zone=tollgate:1m;
    tollgate_tier  open    { requests 100000r/h; }
    tollgate_tier  llamas  { models llama-* mistral; default_model llama-3; }
    tollgate_tier  strict  { models llama-*; }
    tollgate_tier  given   { default_model llama-3; }
    tollgate_tier  once    { models llama-*; requests 1r/h; }

    tollgate_api_keys   keys.json;
    tollgate_audit_log  %%TESTDIR%%/audit.log;

    server {
        listen       127.0.0.1:8080;
        listen       127.0.0.1:8082 http2;
        server_name  localhost;

        tollgate            on;
        tollgate_engine     vllm;
        tollgate_endpoints  +GET:/*;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location = /ping {
            if ($request_method = GET) { return 204; }
            proxy_pass  http://127.0.0.1:8081;
        }

        location /unbuffered/ {
            proxy_buffering  off;
            proxy_request_buffering  off;
            proxy_pass  http://127.0.0.1:8081/;
        }

        location /spilled/ {
            client_body_buffer_size  1k;
            proxy_pass  http://127.0.0.1:8081/;
        }

        location /openai/ {
            tollgate_engine     openai;
            tollgate_endpoints  +POST:/own +POST:/deployments/* +POST:/engines/* +GET:/*;
            proxy_pass          http://127.0.0.1:8081/;
        }

        location /sglang/ {
            tollgate_engine  sglang;
            proxy_pass       http://127.0.0.1:8081/;
        }

        location /ollama/ {
            tollgate_engine  ollama;
            proxy_pass       http://127.0.0.1:8081/;
        }

        location /tgi/ {
            tollgate_engine     tgi;
            tollgate_endpoints  +POST:/own;
            proxy_pass       http://127.0.0.1:8081/;
        }

        location /anthropic/ {
            tollgate_engine  anthropic;
            proxy_pass       http://127.0.0.1:8081/;
        }

        # Several models behind one, by their names.
        location /router/ {
            tollgate_engine  llamacpp;
            proxy_pass       http://127.0.0.1:8081/;
        }

        location /queried/ {
            try_files  /nothing /health?model=qwen;
        }

        location /llama/ {
            tollgate_engine  llamacpp;
            tollgate_model   llama-3;
            proxy_pass       http://127.0.0.1:8081/;
        }

        location /qwen/ {
            tollgate_engine  llamacpp;
            tollgate_model   qwen;
            proxy_pass       http://127.0.0.1:8081/;
        }

        location /renamed/ {
            tollgate_model_alias  llama-3 llama-7;
            proxy_pass            http://127.0.0.1:8081/;
        }

        location /turned/ {
            tollgate_model_alias  llama-3 qwen;
            proxy_pass            http://127.0.0.1:8081/;
        }

        location /dry/ {
            tollgate_dry_run  on;
            proxy_pass        http://127.0.0.1:8081/;
        }

        location /token/ {
            tollgate_auth          jwt;
            tollgate_jwt_key_file  secret;
            tollgate_jwt_claim     models models;
            tollgate_default_tier  open;
            proxy_pass             http://127.0.0.1:8081/;
        }

        # Variables say the path.
        location /said/ {
            tollgate_endpoints  +*:/*;
            set                 $said $arg_to;
            proxy_pass          http://127.0.0.1:8081$said;
        }

        location /sockets/ {
            tollgate_upgrade    allow;
            tollgate_endpoints  +*:/*;
            proxy_set_header    Upgrade $http_upgrade;
            proxy_pass          http://127.0.0.1:8081/;
        }

        # What is let in for one path, and led on to another.
        location /led/ {
            rewrite     ^/led/(.*)$ /v1/$1 last;
        }

        location /late/ {
            try_files  /nothing /v1/messages/count_tokens;
        }

        location /elsewhere/ {
            error_page  403 = @other;
            proxy_pass  http://127.0.0.1:8081/;
        }

        location @other {
            proxy_pass  http://127.0.0.1:8081;
        }
    }
}

EOC

$t->write_file('secret', 'x' x 32);
my @keys = ({ key => 'key-slow', client => 'slow', tier => 'open' },
	{ key => 'key-free', client => 'free', tier => 'open' },
	{ key => 'key-llama', client => 'llama', tier => 'open', models => ['llama-*'] },
	{ key => 'key-ops', client => 'ops', tier => 'open', models => ['llama-*'], scopes => ['admin'] },
	{ key => 'key-root', client => 'root', tier => 'open', scopes => ['admin'] },
	{ key => 'key-exact', client => 'exact', tier => 'open', models => ['llama-*', 'exact'] },
	{ key => 'key-tier', client => 'tier', tier => 'llamas' },
	{ key => 'key-both', client => 'both', tier => 'llamas', models => ['llama-3*', 'qwen'] },
	{ key => 'key-strict', client => 'strict', tier => 'strict' },
	{ key => 'key-given', client => 'given', tier => 'given' },
	{ key => 'key-once', client => 'once', tier => 'once' },
);
write_keys($t, $keys[0]);
start_echo($t, 8081);
$t->run();

my $chat = '/v1/chat/completions';
my @say = (messages => [{ role => 'user', content => 'hi' }]);

###############################################################################

# All that say something must allow.

for my $case (
	['free', 'qwen' => 200], ['free', 'llama-3' => 200],
	['llama', 'llama-3' => 200], ['llama', 'llama-' => 200], ['llama', 'qwen' => 403],
	['llama', 'Llama-3' => 403], ['llama', ' llama-3' => 403], ['llama', 'x/llama-3' => 403],
	['tier', 'mistral' => 200], ['tier', 'llama-2' => 200], ['tier', 'mistral-7b' => 403], ['tier', 'qwen' => 403],
	['both', 'llama-3.1' => 200], ['both', 'llama-2' => 403], ['both', 'qwen' => 403], ['both', 'mistral' => 403],
) {
	my ($who, $model, $expected) = @$case;
	my ($r, $line) = ask_for($t, $chat, { model => $model, @say }, "X-API-Key: key-$who");
	is(status($r), $expected, "$who, $model");
	is("$line->{decision} $line->{model}", ($expected == 200 ? 'allow' : 'deny') . " $model", "$who, $model: in the log");
}

# What is refused, is said so in the dialect, and the log has who didn't allow it.

my ($r, $line) = ask_for($t, $chat, { model => 'qwen', @say }, 'X-API-Key: key-llama');
is_deeply(content_json($r)->{error}{code}, 'model_access_denied', 'the code');
is(content_json($r)->{error}{param}, 'model', 'the parameter');
is("$line->{reason} $line->{detail}", 'model_denied model_not_allowed credential', 'by the key');
($r, $line) = ask_for($t, $chat, { model => 'qwen', @say }, 'X-API-Key: key-tier');
is("$line->{reason} $line->{detail}", 'model_denied model_not_allowed tier', 'by the tier');
like($t->read_file('error.log'), qr/model_denied \(model_not_allowed\): the model fits none of the "models" of the tier/,
	'and the error log');

for my $case (
	['/v1/messages', sub { $_[0]{error}{type} }, 'permission_error'],
	['/anthropic/v1/messages', sub { $_[0]{error}{type} }, 'permission_error'],
	['/ollama/api/chat', sub { $_[0]{error} =~ /not available/ ? 1 : 0 }, 1],
	['/ollama/api/generate', sub { $_[0]{error} =~ /not available/ ? 1 : 0 }, 1],
	['/ollama/v1/chat/completions', sub { $_[0]{error}{code} }, 'model_access_denied'],
	['/openai/v1/responses', sub { $_[0]{error}{code} }, 'model_access_denied'],
	['/sglang/v1/embeddings', sub { $_[0]{error}{code} }, 'model_access_denied'],
	['/tgi/generate', sub { $_[0]{error_type} }, 'permission'],
) {
	my ($uri, $of, $expected) = @$case;
	my %body = (model => 'qwen', max_tokens => 5, input => 'x', prompt => 'x', inputs => 'x', @say);
	my ($r) = ask_for($t, $uri, \%body, 'X-API-Key: key-llama');
	is(status($r) . ' ' . ($of->(content_json($r)) // ''), "403 $expected", $uri);
	($r) = ask_for($t, $uri, { %body, model => 'llama-3' }, 'X-API-Key: key-llama');
	is(status($r), 200, "$uri, its own");
}

# A refused request takes nothing of a limit.

is(status((ask_for($t, $chat, { model => 'qwen', @say }, 'X-API-Key: key-once'))[0]), 403, 'refused');
is(status((ask_for($t, $chat, { model => 'llama-3', @say }, 'X-API-Key: key-once'))[0]), 200, 'and not charged');

###############################################################################

# However the body comes.

my $long = { model => 'qwen', messages => [{ role => 'user', content => 'x' x 300_000 }] };
for my $uri ("/unbuffered$chat", "/spilled$chat", $chat) {
	for my $model ('llama-3', 'qwen') {
		my $expected = $model eq 'qwen' ? 403 : 200;
		my %body = (%$long, model => $model);
		is(status(ask(post($uri, \%body, 'X-API-Key: key-llama'))), $expected, "$uri $model, long");
		is(status(ask(chunked($uri, \%body, 4000, 'X-API-Key: key-llama'))), $expected, "$uri $model, in chunks");
		is(status(h2($t, $uri, \%body, 'X-API-Key: key-llama')), $expected, "$uri $model, HTTP/2");
	}
}

# Whatever spelling: what readers could read differently, is refused before it comes to models.

for my $body (
	'{"model":"llama-3","model":"qwen"}', '{"model":"llama-3","MODEL":"qwen"}', '{"Model":"qwen"}',
	'{"model":"llama-3","mode\u006c":"qwen"}', '{"model":"llama-3\ud800"}', "{\"model\":\"llama-3\0\"}",
	'{"model":["llama-3"]}', '{"model":{"llama-3":1}}', '{"model":7}', '{"model":"llama-3"}{"model":"qwen"}',
	'["llama-3"]', '{"model":"llama-3"', "{\"model\":\"llama-3\xff\"}", '',
) {
	is(status(ask(post($chat, $body, 'X-API-Key: key-llama'))), 400, "ambiguous: $body");
}
is(status(ask(post($chat, '{"m\u006fdel":"ll\u0061ma-3","x":{"model":"qwen"}}', 'X-API-Key: key-llama'))), 200,
	'escapes are what they stand for, and what is within is another thing');
is(status(ask(post($chat, '{"m\u006fdel":"qw\u0065n","x":{"model":"llama-3"}}', 'X-API-Key: key-llama'))), 403,
	'the same of another model');

###############################################################################

# A request that names none.

for my $absent ('{"messages":[]}', '{"model":null,"messages":[]}', '{"messages":[],"model":""}') {
	my $r = ask(post($chat, $absent, 'X-API-Key: key-strict'));
	is(status($r) . ' ' . content_json($r)->{error}{param}, '400 model', "refused: $absent");
	for my $who (qw/tier given both/) {
		my ($r, $line) = ask_for($t, $chat, $absent, "X-API-Key: key-$who");
		my $sent = JSON::PP->new->decode(content_json($r)->{body});
		is("$sent->{model} $line->{model}", 'llama-3 llama-3', "$who gets the default: $absent");
	}
	is(content_json(ask(post($chat, $absent, 'X-API-Key: key-free')))->{body}, $absent, "free: as it is: $absent");
}
($r, $line) = ask_for($t, $chat, '{}', 'X-API-Key: key-strict');
is("$line->{reason} $line->{detail}", 'malformed_request missing_member model', 'the cause');
like(http_content($r), qr/\\"model\\" is missing/, 'the client is told');
like(http_content(ask(post('/v1/messages', '{"messages":[]}', 'X-API-Key: key-strict'))),
	qr/"type":"error".*\\"model\\" is missing/, 'in the dialect');
is(status(ask(post("/spilled$chat", { %$long, model => undef }, 'X-API-Key: key-tier'))), 200,
	'the default in a body of a file');
is(content_json(ask(post($chat, { model => 'qwen', @say }, 'X-API-Key: key-given')))->{body} =~ /"qwen"/, 1,
	'a default is no restriction');

# What is an alias, is judged by what it stands for, named or not.

for my $body ('{}', '{"model":"llama-3"}') {
	is(content_json(ask(post("/renamed$chat", $body, 'X-API-Key: key-tier')))->{body}, '{"model":"llama-7"}',
		"an alias of one that is open: $body");
	is(status(ask(post("/turned$chat", $body, 'X-API-Key: key-tier'))), 403, "of one that is not: $body");
}

###############################################################################

# Bodies that are read for nothing else.

for my $uri (qw!/tokenize /detokenize /v1/messages/count_tokens /v1/chat/completions/render /ollama/api/show
	/openai/v1/images/generations /openai/own!) {
	is(status(ask(post($uri, '{"model":"llama-3"}', 'X-API-Key: key-llama'))), 200, "$uri, its own");
	is(status(ask(post($uri, '{"model":"qwen"}', 'X-API-Key: key-llama'))), 403, "$uri, another one");
	is(status(ask(post($uri, '{"model":"qwen"}', 'X-API-Key: key-free'))), 200, "$uri, free");
}
is(status(ask(post('/ollama/api/show', '{"name":"qwen"}', 'X-API-Key: key-llama'))), 400, 'another member');
is(content_json(ask(post('/tokenize', '{"prompt":"x"}', 'X-API-Key: key-tier')))->{body},
	'{"model":"llama-3","prompt":"x"}', 'the default, where nothing is metered');

# What operators do to models.

for my $case (
	['ollama', 'POST /api/pull'], ['ollama', 'POST /api/push'], ['ollama', 'DELETE /api/delete'],
	['router', 'POST /models/load'], ['router', 'POST /models/unload'],
) {
	my ($place, $what) = @$case;
	my ($method, $path) = split / /, $what;
	my $asked = sub { post("/$place$path", $_[0], 'X-API-Key: key-ops') =~ s/^POST/$method/r };
	is(status(ask($asked->('{"model":"llama-3"}'))), 200, "$what, its own");
	is(status(ask($asked->('{"model":"qwen"}'))), 403, "$what, another one");
	is(status(ask($asked->('{"name":"qwen"}'))), 400, "$what, in another member");
}
for my $case (
	['ollama', 'POST /api/copy', '{"source":"qwen","destination":"llama-3"}'],
	['ollama', 'POST /api/create', '{"model":"llama-3","from":"qwen"}'],
	['router', 'POST /models', '{"model":"llama-3"}'],
	['router', 'DELETE /models?model=llama-3', ''],
	['', 'POST /v1/load_lora_adapter', '{"lora_name":"llama-3","lora_path":"/qwen"}'],
	['sglang', 'POST /load_lora_adapter', '{"lora_name":"llama-3","lora_path":"/qwen"}'],
) {
	my ($place, $what, $body) = @$case;
	my ($method, $path) = split / /, $what;
	my $uri = length $place ? "/$place$path" : $path;
	my ($refused, $passed) = map { status(ask(post($uri, $body, "X-API-Key: key-$_") =~ s/^POST/$method/r)) } qw/ops root/;
	is("$refused $passed", '403 200', "$what: not for who may use some models only");
}

# What a query names.

for my $case (['/router/props' => 200], ['/router/props?model=llama-3&autoload=true' => 200],
	['/router/props?model=qwen&autoload=true' => 403], ['/router/metrics?autoload=true&%6dodel=qwen' => 403],
	['/router/props?model=llama-3&model=qwen' => 403], ['/router/lora-adapters?model=qwen' => 403],
	['/router/props%3fmodel=qwen' => 403], ['/router/v1/models?model=qwen' => 403], ['/health?Model=qwen' => 403],
	['/health?models=qwen' => 200]) {
	is(status(ask(request($case->[0], 'X-API-Key: key-llama'))), $case->[1], "a query: $case->[0]");
}
is(status(ask(request('/router/props?model=qwen', 'X-API-Key: key-free'))), 200, 'a query, free');
is(status(ask(request('/llama/props?model=qwen', 'X-API-Key: key-llama'))), 200, 'a query, where all are for one');
is(status(ask(post("$chat?model=qwen", { model => 'llama-3', @say }, 'X-API-Key: key-llama'))), 403,
	'a query, beside the body');
is(status(ask(request('/queried/x', 'X-API-Key: key-llama'))), 403, 'a query that a request is led to');
is(status(ask(request('/queried/x', 'X-API-Key: key-free'))), 200, 'the same, free');

# What nobody reads.

for my $uri ('/sockets/v1/models', '/sockets/v1/realtime/calls', '/sockets/ws') {
	is(status(ask(request($uri, 'X-API-Key: key-llama', 'Upgrade: websocket'))), 403, "a WebSocket: $uri");
	is(status(ask(request($uri, 'X-API-Key: key-free', 'Upgrade: websocket'))), 200, "a WebSocket, free: $uri");
}
is(status(ask(request('/sockets/ws', 'X-API-Key: key-llama'))), 200, 'none');
is(status(ask(request('/v1/models', 'X-API-Key: key-llama', 'Upgrade: websocket'))), 500, 'where none is let through');

# A path that variables say.

for my $case (['/v1/models/llama-3' => 403], ['/v1/models/qwen' => 403], ['/health' => 200]) {
	my ($to, $expected) = @$case;
	is(status(ask(request("/said/health?to=$to", 'X-API-Key: key-llama'))), $expected, "variables say $to");
	is(status(ask(request("/said/health?to=$to", 'X-API-Key: key-free'))), 200, "variables say $to, free");
}

# A path that was opened.

for my $place (qw/openai tgi/) {
	is(status(ask(post("/$place/own", '{"model":"llama-3"}', 'X-API-Key: key-llama'))), 200, "$place, opened, its own");
	is(status(ask(post("/$place/own", '{"model":"qwen"}', 'X-API-Key: key-llama'))), 403, "$place, opened, another one");
}

# What can't be read.

for my $uri (qw!/v1/audio/transcriptions /openai/v1/batches /anthropic/v1/messages/batches!) {
	my ($r, $line) = ask_for($t, $uri, '{"model":"llama-3"}', 'X-API-Key: key-llama');
	is(status($r) . " $line->{detail}", '403 unread_model', "$uri is refused");
}
is((ask_for($t, '/whatever', '{"model":"llama-3"}', 'X-API-Key: key-llama'))[1]{detail}, 'unknown_endpoint vllm',
	'what is in no table');
is(status(ask(request('/v1/realtime?model=qwen', 'X-API-Key: key-llama'))), 403, 'a WebSocket');
is(status(ask(post('/ping', '', 'X-API-Key: key-llama'))), 200, 'what names none');

# The model of a path.

for my $case (['/v1/models/llama-3' => 200], ['/v1/models/qwen' => 404], ['/sglang/v1/models/x/y' => 404],
	['/v1/models/llama-3%2f..%2fqwen' => 400], ['/v1/models/llama-3%3fx' => 404], ['/V1/Models/qwen' => 404],
	['/openai/models/qwen' => 404], ['/v1/models/ll%61ma-3' => 200], ['/v1/models/q%77en' => 404]) {
	is(status(ask(request($case->[0], 'X-API-Key: key-llama'))), $case->[1], $case->[0]);
}
is(status(ask(request('/v1/models/qwen', 'X-API-Key: key-free'))), 200, 'free');

# One that a path names beside the body.

for my $case (['llama-3', 'llama-3' => 200], ['qwen', 'llama-3' => 403], ['llama-3', 'qwen' => 403]) {
	my ($path, $model, $expected) = @$case;
	is(status(ask(post("/openai/deployments/$path/chat/completions", { model => $model, @say }, 'X-API-Key: key-llama'))),
		$expected, "$path in the path, $model in the body");
}

for my $case (
	['/engines/v1/chat/completions' => 200], ['/engines/llama.cpp/v1/chat/completions' => 200],
	['/engines/qwen/v1/chat/completions' => 403], ['/engines/llama-3/chat/completions' => 200],
	['/engines/llama-3/deployments/qwen/chat/completions' => 403], ['/deployments/exact/qwen/chat/completions' => 403],
	['/deployments/exact/chat/completions' => 200],
) {
	my ($path, $expected) = @$case;
	is(status(ask(post("/openai$path", { model => 'llama-3', @say }, 'X-API-Key: key-exact'))), $expected, $path);
}

# Where all requests are for one.

is(status(ask(post("/llama$chat", { model => 'qwen', @say }, 'X-API-Key: key-llama'))), 200, 'what it says does not matter');
is(status(ask(post("/qwen$chat", { model => 'llama-3', @say }, 'X-API-Key: key-llama'))), 403, 'nor here');
is(status(ask(post("/llama$chat", { @say }, 'X-API-Key: key-strict'))), 200, 'nor whether it says any');
is(status(ask(post('/llama/tokenize', { content => 'x' }, 'X-API-Key: key-strict'))), 200, 'nothing is read');
is(status(ask(post('/qwen/tokenize', { content => 'x' }, 'X-API-Key: key-strict'))), 403, 'and that is judged');

###############################################################################

# Tokens.

sub token {
	my (%claims) = @_;
	return 'Authorization: Bearer ' . hs256('x' x 32, { sub => 'me', exp => time() + 600, %claims });
}

for my $case (
	[{}, 'qwen' => 200], [{ models => ['llama-*'] }, 'llama-3' => 200], [{ models => ['llama-*'] }, 'qwen' => 403],
	[{ models => 'qwen' }, 'qwen' => 200], [{ models => [] }, 'qwen' => 403], [{ models => 7 }, 'qwen' => 401],
) {
	my ($claims, $model, $expected) = @$case;
	is(status(ask(post("/token$chat", { model => $model, @say }, token(%$claims)))), $expected,
		'token with ' . json($claims) . ", $model");
}

###############################################################################

# What was decided holds where a request is led.

is(status(ask(post('/led/chat/completions', { model => 'qwen', @say }, 'X-API-Key: key-llama'))), 403, 'rewritten');
is(status(ask(post('/led/chat/completions', { model => 'llama-3', @say }, 'X-API-Key: key-llama'))), 200, 'its own');
is(status(ask(post("/elsewhere$chat", { model => 'qwen', @say }, 'X-API-Key: key-llama'))), 403, 'error_page');
is(status(ask(post("/elsewhere$chat", { model => 'llama-3', @say }, 'X-API-Key: key-llama'))), 200, 'without one');
for my $case (['qwen' => 403], ['llama-3' => 200]) {
	is(status(ask(post('/late/ping', "{\"model\":\"$case->[0]\"}", 'X-API-Key: key-llama'))), $case->[1],
		"led to what is read, $case->[0]");
}

# What comes into force while the body is sent.

for my $case (['models', { models => ['llama-*'] }, 403, 'model_denied'], ['a tier', { tier => 'strict' }, 403, 'model_denied'],
	['a scope', { scopes => ['models'] }, 403, 'scope_denied'], ['nothing', { models => ['qwen*'] }, 200, undef])
{
	my ($name, $change, $expected, $reason) = @$case;
	my $text = json({ model => 'qwen', @say });
	my $id = new_id();
	my $slow = connection();
	$slow->send(request("POST $chat", 'X-API-Key: key-slow', 'Content-Type: application/json', "X-Request-ID: $id",
		'Content-Length: ' . length $text));
	$slow->send(substr $text, 0, 5);
	ping();
	write_keys($t, { %{$keys[0]}, %$change, client => 'changed' });
	poll { (audited($t, new_slow()))[0]{client} eq 'changed' };
	$slow->send(substr $text, 5);
	is(status($slow->answer()), $expected, "$name, while it waits");
	is((audited($t, $id))[0]{reason}, $reason, "$name, while it waits: in the log");
	write_keys($t, $keys[0]);
	poll { (audited($t, new_slow()))[0]{client} eq 'slow' };
}

# A dry run refuses nothing, and says what it would.

($r, $line) = ask_for($t, "/dry$chat", { model => 'qwen', @say }, 'X-API-Key: key-llama');
is(status($r) . " $line->{decision} $line->{reason}", '200 deny model_denied', 'a dry run');

# With another one in the place of the first.
sub write_keys {
	my ($t, $first) = @_;
	$t->write_file('new.json', keys_file($first, @keys[1 .. $#keys]));
	rename $t->testdir() . '/new.json', $t->testdir() . '/keys.json';
}

# The id of a request of the first key.
sub new_slow {
	my $id = new_id();
	ask(request('/v1/models', 'X-API-Key: key-slow', "X-Request-ID: $id"));
	return $id;
}

###############################################################################

#!/usr/bin/perl

# tollgate_model_alias: the engine is asked for the model that an alias stands for, and the client sees the
# alias in the answer. All else stays as it was, byte for byte, in the request and in the answer.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/get header json keys_file status/;
use Tollgate::Client;
use Tollgate::Engine;
use Tollgate::Metered;

select STDERR; $| = 1;
select STDOUT; $| = 1;

needs_engine();

my $conf = <<'EOC';

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone   zone=tollgate:1m;
    tollgate_price  real input=1000 output=1000;
    tollgate_tier   open  { }
    tollgate_tier   block { model real { requests 1r/d; } }
    tollgate_tier   of_model { models real; }
    tollgate_tier   of_alias { models chat-*; }
    tollgate_tier   default  { default_model chat-default; }
    tollgate_limit  rare key=$tollgate_model requests=1r/d;
    tollgate_limit  all  key=all requests=100r/s;

    tollgate_api_keys    keys.json;
    tollgate_audit_log   %%TESTDIR%%/audit.log;
    tollgate_model_alias chat-default real;
    tollgate_model_alias café "re\"al";

    map $tollgate_model $backend {
        real     127.0.0.1:8081;
        default  127.0.0.1:8083;
    }

    server {
        listen       127.0.0.1:8080;
        listen       127.0.0.1:8082 http2;
        server_name  localhost;

        tollgate on;
        proxy_http_version  1.1;

        location / {
            proxy_buffering   off;
            proxy_set_header  Connection "";
            add_header        X-Model $tollgate_model;
            proxy_pass        http://127.0.0.1:8081;
        }

        location /buffered/ {
            proxy_pass  http://127.0.0.1:8081/;
        }

        location /gzip/ {
            gzip             on;
            gzip_types       *;
            gzip_min_length  1;
            proxy_pass       http://127.0.0.1:8081/;
        }

        location /routed/ {
            rewrite     ^/routed(.*) $1 break;
            proxy_pass  http://$backend;
        }

        location /spilled/ {
            client_body_buffer_size  1k;
            proxy_pass               http://127.0.0.1:8081/;
        }

        location /off/ {
            tollgate_model_alias  off;
            proxy_pass            http://127.0.0.1:8081/;
        }

        location /own/ {
            tollgate_model_alias  small other;
            proxy_pass            http://127.0.0.1:8081/;
        }

        location /rare/ {
            tollgate_apply  rare;
            proxy_pass      http://127.0.0.1:8081/;
        }

        location /hidden/ {
            tollgate_engine       vllm;
            tollgate_hide_models  on;
            proxy_pass            http://127.0.0.1:8081/;
        }

        location /bytes/ {
            tollgate_engine  vllm;
            proxy_pass       http://127.0.0.1:8085/;
        }

        location /unmetered/ {
            tollgate_endpoints  +*:/*;
            proxy_pass          http://127.0.0.1:8086/;
        }

        location /dry/ {
            tollgate_dry_run  on;
            tollgate_apply    rare;
            proxy_pass        http://127.0.0.1:8081/;
        }

        location /unread/ {
            tollgate_auth   none;
            tollgate_apply  all;
            proxy_pass      http://127.0.0.1:8081/;
        }

        location /to-off/ {
            error_page  502 = @off;
            proxy_pass  http://127.0.0.1:8083/;
        }

        location /to-own/ {
            error_page  502 = @own;
            proxy_pass  http://127.0.0.1:8083/;
        }

        location /to-nothing/ {
            error_page  502 = @nothing;
            proxy_pass  http://127.0.0.1:8083/;
        }

        location @off {
            tollgate_model_alias  off;
            rewrite               ^/[^/]*(.*) $1 break;
            proxy_pass            http://127.0.0.1:8081;
        }

        location @own {
            tollgate_model_alias  chat-default other;
            rewrite               ^/[^/]*(.*) $1 break;
            proxy_pass            http://127.0.0.1:8081;
        }

        location @nothing {
            tollgate    off;
            rewrite     ^/[^/]*(.*) $1 break;
            proxy_pass  http://127.0.0.1:8081;
        }

        location /set/ {
            set         $length $content_length;
            proxy_pass  http://127.0.0.1:8081/;
        }

%%ENGINES%%
    }

    # What is not metered.
    server {
        listen        127.0.0.1:8086;
        default_type  application/json;
        return        200 '{"model":"real","input":{"model":"real"}}';
    }

    # vLLM's embeddings as bytes.
    server {
        listen       127.0.0.1:8085;
        default_type application/octet-stream;
        add_header   metadata '{"model":"real","data":[{"model":"real"}],"usage":{"prompt_tokens":3,"total_tokens":3}}';
        return       200 '"model":"real"';
    }
}

EOC

my @engines = qw/openai vllm sglang tgi llamacpp ollama anthropic/;
my $locations = join '', map { my $mock = $_ eq 'openai' || $_ eq 'anthropic' ? '' : "proxy_set_header X-Mock-Engine $_;"; <<"EOC" } @engines;
        location /$_/ {
            tollgate_engine   $_;
            proxy_buffering   off;
            proxy_set_header  Connection "";
            $mock
            proxy_pass        http://127.0.0.1:8081/;
        }

EOC
$conf =~ s/%%ENGINES%%\n/$locations/;

# What is asked: the engine, the path, the members beside the model, and whether it streams in another way.
my @messages = (messages => [{ role => 'user', content => 'say "model":"real"' }]);
my @asks = (
	(map { [$_, '/v1/chat/completions', { @messages, max_tokens => 5 }] } qw/openai vllm sglang tgi llamacpp ollama/),
	(map { [$_, '/v1/completions', { prompt => 'one two', max_tokens => 5 }] } qw/openai vllm sglang llamacpp ollama/),
	(map { [$_, '/v1/responses', { input => 'one two', max_output_tokens => 5 }] } qw/openai vllm llamacpp/),
	(map { [$_, '/v1/messages', { @messages, max_tokens => 5 }] } qw/anthropic vllm llamacpp/),
	['ollama', '/api/chat', { @messages, options => { num_predict => 5 } }],
	['ollama', '/api/generate', { prompt => 'one two', options => { num_predict => 5 } }],
	['llamacpp', '/completion', { prompt => 'one two', n_predict => 5 }],
	(map { [$_, '/v1/embeddings', { input => ['one', 'two'] }, 'whole'] } qw/openai vllm sglang ollama/),
	['vllm', '/v1/chat/completions/batch', { messages => [[$messages[1][0]], [$messages[1][0]]], max_tokens => 5 }, 'whole'],
	['vllm', '/rerank', { query => 'a', documents => ['b'] }, 'whole'],
	['vllm', '/score', { text_1 => 'a', text_2 => 'b' }, 'whole'],
);
my $combinations = 0;
$combinations += $_->[3] ? 1 : 2 for @asks;

my $t = Test::Nginx->new()->has(qw/http proxy map rewrite http_v2 gzip/)->has_daemon('curl')
	->plan(2 * $combinations + 118)->write_file_expand('nginx.conf', $conf);
$t->write_file('keys.json', keys_file({ key => 'key-open', client => 'acme', tier => 'open' },
	{ key => 'key-block', client => 'blocked', tier => 'block' },
	map { { key => "key-$_", client => $_, tier => $_ } } qw/of_model of_alias default/));
start_engine($t, 8081);
$t->run();

my $key = 'X-API-Key: key-open';
my $chat = '/v1/chat/completions';

###############################################################################

# each form of answers, beside what the engine itself answers

for (@asks) {
	my ($engine, $path, $members, $whole) = @$_;
	for my $stream ($whole ? 0 : (0, 1)) {
		my $name = "$engine $path" . ($stream ? ', a stream' : '');
		my @stream = $path =~ m!^/api/! ? (stream => $stream ? \1 : \0) : $stream ? (stream => \1) : ();
		my %body = (%$members, @stream);
		my @mock = $engine =~ /openai|anthropic/ ? () : ("X-Mock-Engine: $engine");
		my $own = plain(http_content(ask(post($path, { model => 'real', %body }, @mock), port => 8081)));
		my $shown = plain(http_content(ask(post("/$engine$path", { model => 'chat-default', %body }, $key))));
		my $count = $own =~ s/("model" ?: ?)"real"/$1"chat-default"/g;
		is($shown, $own, "$name: all else is the engine's");
		# Some of them say no model at all.
		ok($count || $engine =~ /tgi|llamacpp|sglang|vllm/, "$name: and the alias is there") or diag($own);
	}
}

###############################################################################

# what the engine is asked

for (
	['as it is', '{"model":"chat-default","messages":[{"role":"user","content":"\"model\":\"chat-default\""}]}',
		'{"model":"real","messages":[{"role":"user","content":"\"model\":\"chat-default\""}]}'],
	['with blanks', qq({ "messages" : [], "model"\t:\n"chat-default" , "x":{"model":"chat-default"}}),
		qq({ "messages" : [], "model"\t:\n"real" , "x":{"model":"chat-default"}})],
	['with escapes', '{"messages":[],"mod\u0065l":"ch\u0061t-default"}', '{"messages":[],"mod\u0065l":"real"}'],
	['a name with a quote', '{"messages":[],"model":"caf\u00e9"}', '{"messages":[],"model":"re\"al"}'],
	['another model', '{"messages":[],"model":"chat-default-2"}', undef],
	['the model itself', '{"messages":[],"model":"real"}', undef],
	['the alias in another case', '{"messages":[],"model":"Chat-Default"}', undef],
	['no model', '{"messages":[]}', undef],
) {
	my ($name, $body, $expected) = @$_;
	for my $chunks (0, 1) {
		my $id = new_id();
		my $text = $chunks ? chunked($chat, $body, 7, $key, "X-Request-ID: $id")
			: post($chat, $body, $key, "X-Request-ID: $id");
		ask($text);
		is(engine_body(8081, $id), $expected // $body, "asked: $name" . ($chunks ? ', in chunks' : ''));
	}
}
{
	my $long = 'x' x 20_000;
	my $id = new_id();
	my $body = qq({"messages":[{"role":"user","content":"$long"}],"model":"chat-default","n":1});
	my $r = ask(post("/spilled$chat", $body, $key, "X-Request-ID: $id"));
	is(engine_body(8081, $id), $body =~ s/chat-default/real/r, 'asked: from a file');
	is(content_json($r)->{model}, 'chat-default', 'asked: from a file: the answer');
}

# With a stream that is asked for its usage, both change.
{
	my $id = new_id();
	my $message = '{"role":"user","content":"hi"}';
	my $r = ask(post($chat, qq({"stream":true,"model":"chat-default","messages":[$message]}), $key, "X-Request-ID: $id",
		'X-Mock-Tokens: 2'));
	is(engine_body(8081, $id),
		qq({"stream_options":{"include_usage":true},"stream":true,"model":"real","messages":[$message]}),
		'asked: usage as well');
	unlike($r, qr/"real"|usage/, 'asked: usage as well: neither shows');
	my $line = (audited($t, $id))[0];
	is($line->{usage}, 'measured', 'asked: usage as well: which is read');
}

###############################################################################

# what goes by which name

{
	my ($r, $line) = ask_for($t, $chat, { model => 'chat-default', @messages }, $key, 'X-Mock-Tokens: 3');
	is(header($r, 'X-Model'), 'real', '$tollgate_model: the model');
	is("$line->{model} $line->{alias}", 'real chat-default', 'the log: both');
	ok($line->{cost} > 0, 'the price of the model');
	(undef, $line) = ask_for($t, $chat, { model => 'real', @messages }, $key);
	is(join(' ', map { $_ // '-' } @$line{qw/model alias/}), 'real -', 'the log: no alias');
}
is(status(ask(post("/routed$chat", { model => 'chat-default', @messages }, $key))), 200, 'map: by the model');
is(status(ask(post("/routed$chat", { model => 'other', @messages }, $key))), 502, 'map: another one');
is(status(ask(post("/rare$chat", { model => $_, @messages }, $key))), $_ eq 'real' ? 200 : 429,
	"a rule by model: $_") for qw/real chat-default/;
is(status(ask(post($chat, { model => $_, @messages }, 'X-API-Key: key-block'))), $_ eq 'real' ? 429 : 200,
	"a block of a tier: $_") for qw/chat-default real/;

# who may use it

is(status(ask(post($chat, { model => $_, @messages }, 'X-API-Key: key-of_model'))), 200, "may use the model: as $_")
	for qw/real chat-default/;
is(status(ask(post($chat, { model => 'other', @messages }, 'X-API-Key: key-of_model'))), 403, 'may not use another');
{
	my ($r, $line) = ask_for($t, $chat, { model => 'chat-default', @messages }, 'X-API-Key: key-of_alias');
	is(status($r), 403, 'an alias that a pattern fits gives no right to its model');
	is("$line->{reason} $line->{model} $line->{alias}", 'model_denied real chat-default', 'which the log says');
	$r = ask(post("/hidden$chat", { model => 'chat-default', @messages }, 'X-API-Key: key-of_alias'));
	is(status($r), 404, 'hidden: there is none');
	like($r, qr/`chat-default`/, 'hidden: by the name that was asked for');
	unlike($r, qr/real/, 'hidden: and no other');
	$r = ask(post("/hidden$chat", { model => 'chat-default', @messages }, 'X-API-Key: key-of_model',
		'X-Mock-Engine: vllm', 'X-Mock-Models: x'));
	is(status($r), 404, 'hidden: a model that the engine lacks');
	like($r, qr/`chat-default`/, 'hidden: so, too');
	(undef, $line) = ask_for($t, '/vllm/tokenize', { model => 'chat-default', prompt => 'a' }, $key);
	is("$line->{model} $line->{alias}", 'real chat-default', 'the log, where only the model is read');
}
{
	my $id = new_id();
	my $r = ask(post($chat, { @messages }, 'X-API-Key: key-default', "X-Request-ID: $id"));
	is(model_of($r), 'chat-default', 'a default that is an alias: the answer');
	is(JSON::PP->new->decode(engine_body(8081, $id) // '{}')->{model}, 'real', 'a default that is an alias: the engine');
	$id = new_id();
	$r = ask(post('/vllm/tokenize', { model => 'chat-default', prompt => 'a' }, $key, "X-Request-ID: $id"));
	is(JSON::PP->new->decode(engine_body(8081, $id) // '{}')->{model}, 'real', 'where only the model is read');
	$r = ask(request('/vllm/v1/models', $key, 'X-Mock-Models: real'));
	is(join(' ', map { $_->{id} } @{content_json($r)->{data}}), 'chat-default', 'lists have the alias');
	$r = ask(request('/off/v1/models', $key, 'X-Mock-Engine: vllm', 'X-Mock-Models: real'));
	is(join(' ', map { $_->{id} } @{content_json($r)->{data}}), 'real', 'off: lists have the model');
}

# levels

is(model_of(ask(post("/off$chat", { model => 'chat-default', @messages }, $key))), 'chat-default', 'off: the engine is asked for it');
is(engine_model("/off$chat", 'chat-default'), 'chat-default', 'off: by that name');
is(engine_model("/own$chat", 'chat-default'), 'chat-default', 'a level with its own has no others');
is(engine_model("/own$chat", 'small'), 'other', 'a level with its own');
is(engine_model("/dry$chat", 'chat-default'), 'real', 'dry_run');
is(model_of(ask(post("/dry$chat", { model => 'chat-default', @messages }, $key))), 'chat-default', 'dry_run: the answer');
is(engine_model("/unread$chat", 'chat-default'), 'real', 'where nothing else reads bodies');

# where nothing is metered: an engine that says what it is

for my $path (qw!/v1/moderations /v1/responses/compact /v1/images/generations /own /api/show!) {
	# What was opened is read for those who may use some models only.
	my $who = $path eq '/own' ? 'X-API-Key: key-of_model' : $key;
	my %body = (model => 'chat-default', input => { model => 'real' });
	my $answer = content_json(ask(post("/unmetered$path", \%body, $who)));
	is("$answer->{model} $answer->{input}{model}", 'chat-default real', "not metered: $path");
	$answer = content_json(ask(post("/unmetered$path", { %body, model => 'real' }, $key)));
	is($answer->{model}, 'real', "not metered, by its own name: $path");
}

# led on

is(engine_model("/to-off$chat", 'chat-default'), 'chat-default', 'led to where there is none');
is(engine_model("/to-own$chat", 'chat-default'), 'other', 'led to where it means another model');
is(engine_model("/to-nothing$chat", 'chat-default'), 'chat-default', 'led to where nothing is judged');
for (qw/off own nothing/) {
	my $r = ask(post("/to-$_$chat", { model => 'chat-default', @messages }, $key));
	is(status($r) . ' ' . model_of($r), '200 chat-default', "led on, $_: the answer");
}
{
	my (undef, $line) = ask_for($t, "/to-own$chat", { model => 'chat-default', @messages }, $key);
	is("$line->{model} $line->{alias}", 'other chat-default', 'led on: the log');
}

# a length that must stay

{
	my $r = ask(post("/set$chat", { model => 'chat-default', @messages }, $key));
	is(status($r), 500, 'a length that "set" holds');
	is(status(ask(post("/set$chat", { model => 'real', @messages }, $key))), 200, 'which nothing changes');
}

###############################################################################

# the answer on its way

{
	my %body = (model => 'chat-default', @messages);
	my $r = ask(post($chat, \%body, $key));
	is(header($r, 'Content-Length'), undef, 'an answer that changes has no length of before');
	like($r, qr/^Transfer-Encoding: chunked/mi, 'but comes in chunks');
	$r = ask(post($chat, { %body, model => 'real' }, $key));
	ok(header($r, 'Content-Length'), 'one that does not has its length');

	my $text = json(\%body);
	$r = http(join "\r\n", "POST $chat HTTP/1.0", 'Host: localhost', $key, 'Content-Type: application/json',
		'Content-Length: ' . length $text, '', $text);
	is(content_json($r)->{model}, 'chat-default', 'HTTP/1.0');

	for my $place ('', '/buffered') {
		for my $size (1, 2, 3, 7, 50) {
			# Without its chunks, which may end anywhere.
			$r = http_content(ask(post("$place$chat", { %body, stream => \1 }, $key, "X-Mock-Split: $size",
				'X-Mock-Tokens: 2')));
			my $models = () = $r =~ /"model":"chat-default"/g;
			my $others = () = $r =~ /real"/g;
			is("$models $others", '4 0', "pieces of $size$place: the alias in each event");
			like($r, qr/data: \[DONE\]\n\n/, "pieces of $size$place: to the end");
		}
	}
	for my $stream (0, 1) {
		my @stream = $stream ? (stream => \1) : ();
		$r = h2($t, $chat, { %body, @stream }, $key);
		like($r, qr/"model":"chat-default"/, "HTTP/2, stream $stream");
		unlike($r, qr/"real"/, "HTTP/2, stream $stream: and no other name");
		$r = ask(post($chat, { %body, @stream }, $key, 'Accept-Encoding: gzip', 'X-Mock-Encoding: auto'));
		like($r, qr/"model":"chat-default"/, "a client that takes gzip, stream $stream");
		$t->write_file('sent', json({ %body, @stream }));
		$r = curl('--compressed', '-i', '-H', 'Content-Type: application/json', '-H', $key,
			'--data-binary', '@' . $t->testdir() . '/sent', 'http://127.0.0.1:' . port(8080) . "/gzip$chat");
		like($r, qr/^content-encoding: gzip/mi, "nginx's own gzip, stream $stream");
		like($r, qr/"model":"chat-default"/, "nginx's own gzip, stream $stream: of the alias");
	}

	# What nobody can read goes on as it is.
	$r = ask(post($chat, \%body, $key, 'X-Mock-Encoding: always'));
	is(header($r, 'Content-Encoding'), 'gzip', 'an engine that compresses all the same');

	my $embedding = { input => 'a', encoding_format => 'bytes' };
	($r, my $line) = ask_for($t, '/bytes/v1/embeddings', { %$embedding, model => 'chat-default' }, $key);
	is(header($r, 'metadata'),
		'{"model":"chat-default","data":[{"model":"real"}],"usage":{"prompt_tokens":3,"total_tokens":3}}',
		'embeddings as bytes: the alias in the header');
	is(http_content($r) . " $line->{input_tokens}", '"model":"real" 3', 'embeddings as bytes: the bytes, and the usage');
	$r = ask(post('/bytes/v1/embeddings', { %$embedding, model => 'real' }, $key));
	like(header($r, 'metadata'), qr/^\{"model":"real"/, 'embeddings as bytes: the model');

	# The engine's words.
	$r = ask(post("/vllm$chat", \%body, $key, 'X-Mock-Models: another'));
	is(status($r), 404, 'an error');
	like($r, qr/`real`/, 'names what the engine was asked for');
}

# nothing is held back

{
	my $connection = connection();
	my $head = $connection->ask(post($chat, { model => 'chat-default', @messages, stream => \1 }, $key, 'X-Mock-Hold: 1',
		'X-Mock-Tokens: 1'), head => 1);
	is(status($head), 200, 'a stream under way');
	ok($connection->peek(sub { $_[0] =~ /"model":"chat-default".*"finish_reason":"/s || $_[0] =~ /"delta":\{"content"/ }),
		'each event comes as it is made');
	$connection->close();
}

# a reload in the middle of a stream

{
	my $connection = connection();
	$connection->ask(post($chat, { model => 'chat-default', @messages, stream => \1 }, $key, 'X-Mock-Token-Delay-Ms: 300',
		'X-Mock-Tokens: 4'), head => 1);
	$conf =~ s/chat-default real/chat-default changed/;
	$t->write_file_expand('nginx.conf', $conf);
	reload_and_wait($t);
	my $rest = $connection->peek(sub { $_[0] =~ /\[DONE\]/ }) // '';
	unlike($rest, qr/real"|changed/, 'a reload: a stream goes on with its alias');
	like($rest, qr/"model":"chat-default"/, 'a reload: the alias');
	is(engine_model($chat, 'chat-default'), 'changed', 'a reload: the next request');
}

###############################################################################

# Without what differs from one answer to the next.
sub plain {
	my ($text) = @_;
	$text =~ s/mock-\d+/mock-N/g;
	$text =~ s/("(?:created|created_at|completed_at|[a-z_]*duration|[a-z_]*_ms|[a-z_]*per_second|e2e_latency)" ?: ?)("[^"]*"|[\d.e-]+)/${1}0/g;
	# An id of other engines.
	$text =~ s/("(?:id|response_id|item_id)" ?: ?)"[^"]*"/$1"N"/g;
	return $text;
}

sub model_of {
	my ($response) = @_;
	my $json = content_json($response);
	return $json && $json->{model} // 'none';
}

# The model that the engine is asked for.
sub engine_model {
	my ($uri, $model) = @_;
	my $id = new_id();
	ask(post($uri, { model => $model, messages => [] }, 'X-API-Key: key-open', "X-Request-ID: $id"));
	my $body = engine_body(8081, $id) or return 'nothing';
	return JSON::PP->new->utf8->decode($body)->{model};
}

###############################################################################

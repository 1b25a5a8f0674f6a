#!/usr/bin/perl

# tollgate_hide_models: a model that a client may not use looks as if it didn't exist.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/header json keys_file status/;
use Tollgate::Client;
use Tollgate::Echo;
use Tollgate::Metered;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy http_v2/)->has_daemon('curl')->plan(59)
	->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone  zone=tollgate:1m;
    tollgate_endpoints  +*:/*;
    tollgate_tier  open    { requests 100r/h; }
    tollgate_tier  llamas  { models llama-*; requests 100r/h; }

    tollgate_api_keys     keys.json;
    tollgate_audit_log    %%TESTDIR%%/audit.log;
    tollgate_hide_models  on;

    server {
        listen       127.0.0.1:8080;
        listen       127.0.0.1:8082 http2;
        server_name  localhost;

        tollgate         on;
        tollgate_engine  vllm;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /unbuffered/ {
            proxy_buffering  off;
            proxy_pass       http://127.0.0.1:8081/;
        }

        location /alias/ {
            tollgate_model_alias  chat llama-9;
            tollgate_model_alias  other qwen;
            proxy_pass            http://127.0.0.1:8081/missing/;
        }

        location /openai/ {
            tollgate_engine  openai;
            proxy_pass       http://127.0.0.1:8081/;
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
            tollgate_engine  tgi;
            proxy_pass       http://127.0.0.1:8081/;
        }

        location /shown/ {
            tollgate_hide_models  off;
            proxy_pass            http://127.0.0.1:8081/;
        }

        location /page/ {
            error_page  404 = @page;
            proxy_pass  http://127.0.0.1:8081/;
        }

        location @page {
            proxy_pass  http://127.0.0.1:8081;
        }
    }
}

EOC

$t->write_file('keys.json', keys_file({ key => 'key', client => 'me', tier => 'llamas' },
	{ key => 'key-other', client => 'other', tier => 'open' }));
my %missing = (
	'/v1/chat/completions' => '{"error":{"message":"The model `llama-9` does not exist. Valid aliases: qwen.",'
		. '"type":"NotFoundError","param":"model","code":404}}',
	'/tokenize' => '{"error":{"message":"The model `llama-9` does not exist.","type":"NotFoundError","param":"model","code":404}}',
	'/v1/responses' => '{"error":{"message":"Response with id \'resp_1\' not found.","code":404}}',
);
start_echo($t, 8081, { map { ("/missing$_" => { status => '404 Not Found', body => $missing{$_} }) } keys %missing });
$t->run();

my %body = (model => 'qwen"2', messages => [], input => 'x', prompt => 'x', inputs => 'x', max_tokens => 5);

###############################################################################

for my $case (
	['/v1/chat/completions',
		'{"error":{"message":"The model `qwen\"2` does not exist.","type":"NotFoundError","param":"model","code":404}}'],
	['/tokenize',
		'{"error":{"message":"The model `qwen\"2` does not exist.","type":"NotFoundError","param":"model","code":404}}'],
	['/openai/v1/embeddings', '{"error":{"message":"The model `qwen\"2` does not exist or you do not have access to it.",'
		. '"type":"invalid_request_error","param":"model","code":"model_not_found"}}'],
	['/sglang/v1/completions', '{"error":{"message":"The model \'qwen\"2\' does not exist",'
		. '"type":"invalid_request_error","param":"model","code":"model_not_found"}}'],
	['/v1/messages', '{"type":"error","error":{"type":"not_found_error","message":"model: qwen\"2"}}'],
	['/ollama/api/chat', '{"error":"model \"qwen\"2\" not found, try pulling it first"}'],
	['/ollama/api/show', '{"error":"model \"qwen\"2\" not found, try pulling it first"}'],
	['/ollama/v1/chat/completions', '{"error":{"message":"model \"qwen\"2\" not found, try pulling it first",'
		. '"type":"not_found_error","param":null,"code":null}}'],
	['/tgi/generate', '{"error":"The model `qwen\"2` does not exist.","error_type":"validation"}'],
) {
	my ($uri, $expected) = @$case;
	$expected =~ s/qwen"2/qwen\\"2/;
	my ($r, $line) = ask_for($t, $uri, \%body, 'X-API-Key: key');
	is(status($r) . ' ' . http_content($r), "404 $expected", $uri);
	is("$line->{reason} $line->{detail} $line->{status} $line->{model}", 'model_denied model_not_allowed tier 404 qwen"2',
		"$uri: the log knows better");
	like(h2($t, $uri, \%body, 'X-API-Key: key'), qr/^HTTP\/2 404.*\Q$expected\E\z/s, "$uri, HTTP/2");
	is(status(ask(post($uri, { %body, model => 'llama-3' }, 'X-API-Key: key'))), 200, "$uri: its own");
}

# What isn't there looks the same: not by its header either.

my ($hidden, $none) = map { ask(post('/v1/chat/completions', { %body, model => $_ }, 'X-API-Key: key', 'X-Request-ID: x')) }
	qw/qwen nobody/;
s/^Date: .*\n//m for $hidden, $none;
is($hidden =~ s/qwen/nobody/r =~ s/Content-Length: \d+//r, $none =~ s/Content-Length: \d+//r, 'word for word');

# What the engine itself says of it, looks so as well; other errors stay as they are.

for my $prefix ('/missing', '/unbuffered/missing') {
	for my $uri (sort keys %missing) {
		my $expected = $missing{$uri} =~ s/ Valid aliases: qwen.//r;
		my $r = ask(post("$prefix$uri", { %body, model => 'llama-9' }, 'X-API-Key: key'));
		is(status($r) . ' ' . http_content($r), "404 $expected", "$prefix$uri");
		is(header($r, 'Content-Length'), length $expected, "$prefix$uri: its length");
	}
}
unlike(ask(post('/missing/v1/chat/completions', { %body, model => 'llama-9' }, 'X-API-Key: key')), qr/^x-ratelimit/mi,
	'as little of limits as a refusal');
for my $name (qw/chat other/) {
	like(http_content(ask(post('/alias/v1/chat/completions', { %body, model => $name }, 'X-API-Key: key'))),
		qr/"The model `$name` does not exist\."/, "$name: by the name that the client knows");
}
is(http_content(ask(post('/missing/v1/chat/completions', { %body, model => 'llama-9' }, 'X-API-Key: key-other'))),
	$missing{'/v1/chat/completions'}, 'to others as it is');

# No wrong answers to other questions.

is(status(ask(post('/shown/v1/chat/completions', \%body, 'X-API-Key: key'))), 403, 'hidden nowhere else');
is(status(ask(post('/v1/audio/transcriptions', \%body, 'X-API-Key: key'))), 403, 'what is not read');
is(status(ask(post('/v1/chat/completions', '{}', 'X-API-Key: key'))), 400, 'none at all');
is(status(ask(post('/v1/chat/completions', \%body))), 401, 'without a key');

# It stays refused where it is led.

is(status(ask(post('/page/v1/chat/completions', \%body, 'X-API-Key: key'))), 404, 'an error_page to the engine');
is(status(ask(post('/page/v1/chat/completions', { %body, model => 'llama-3' }, 'X-API-Key: key'))), 200, 'its own');

###############################################################################

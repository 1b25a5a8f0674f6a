#!/usr/bin/perl

# Charged is what the engine made, by its own count and not by what it says of it: for each real
# engine as the mock stands for it, for each endpoint that generates, streamed and not, and at cuts.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/keys_file status/;
use Tollgate::Client;
use Tollgate::Engine qw/needs_engine start_engine/;
use Tollgate::Metered;

use JSON::PP qw//;

select STDERR; $| = 1;
select STDOUT; $| = 1;

needs_engine();

# The port of each engine's server.
my %port = (vllm => 8080, sglang => 8082, tgi => 8083, llamacpp => 8084, ollama => 8085);

my ($true, $false) = (JSON::PP::true, JSON::PP::false);
my @model = (model => 'm');
my @messages = (@model, messages => [ { role => 'user', content => 'one two three' } ]);
my @prompt = (@model, prompt => 'one two three');
my $chat = '/v1/chat/completions';

my %openai = (
	'chat' => [$chat, { @messages }],
	'chat, a bound' => [$chat, { @messages, max_tokens => 3 }],
	'completions' => ['/v1/completions', { @prompt }],
);
my %choices = (
	'chat, three choices' => [$chat, { @messages, n => 3 }],
	'completions, two choices' => ['/v1/completions', { @prompt, n => 2 }],
	'completions, two prompts' => ['/v1/completions', { @model, prompt => ['one two', 'three'] }],
);
my %anthropic = (
	'messages' => ['/v1/messages', { @messages, max_tokens => 99 }],
	'messages, a bound' => ['/v1/messages', { @messages, max_tokens => 3 }],
);
my %responses = ('responses' => ['/v1/responses', { @model, input => 'one two three' }]);

# With or without a stream.
my %both = (
	vllm => { %openai, %choices, %anthropic, %responses, 'invocations' => ['/invocations', { @messages }] },
	sglang => { %openai, %choices },
	tgi => { %openai },
	llamacpp => { %openai, %choices, %anthropic, %responses,
		'its own' => ['/completion', { prompt => 'one two three' }],
		'its own, plural' => ['/completions', { prompt => 'one two three', n_predict => 3 }],
		'its own, two prompts' => ['/completions', { prompt => ['one two', 'three'] }],
		'its own, two choices' => ['/completion', { prompt => 'one two three', n_cmpl => 2 }],
		'chat without v1' => ['/chat/completions', { @messages }],
	},
	ollama => { %openai,
		'its own chat' => ['/api/chat', { @messages }],
		'its own' => ['/api/generate', { @prompt }],
	},
);

# Not streamed.
my %whole = (
	vllm => {
		'a batch' => ["$chat/batch", { @model, messages =>
			[ [ { role => 'user', content => 'one' } ], [ { role => 'user', content => 'two' } ] ] }],
		'scoring' => ['/generative_scoring',
			{ @model, query => 'one two', items => ['three', 'four'] }],
		'pooling' => ['/pooling', { @model, input => 'one two three' }],
		'score' => ['/score', { @model, text_1 => 'one', text_2 => ['two', 'three'] }],
		'rerank' => ['/v1/rerank', { @model, query => 'one', documents => ['two', 'three'] }],
		'embeddings' => ['/v1/embeddings', { @model, input => ['one two', 'three'] }],
		'Cohere embeddings' => ['/v2/embed', { @model, texts => ['one two', 'three'] }],
	},
);

my @cases;
for my $engine (sort keys %both) {
	for my $name (sort keys %{$both{$engine}}) {
		my ($uri, $body) = @{$both{$engine}{$name}};
		push @cases, [$engine, $name, $uri, { %$body, stream => $false }],
			[$engine, "$name, streamed", $uri, { %$body, stream => $true }];
	}
}
for my $engine (sort keys %whole) {
	push @cases, map { [$engine, $_, @{$whole{$engine}{$_}}] } sort keys %{$whole{$engine}};
}

my @cuts = map { my $engine = $_; map { [$engine, $_] } 1, 2, 5, 15 } sort keys %both;

my $t = Test::Nginx->new()->has(qw/http proxy/)->plan(@cases + @cuts);

my $servers = join '', map { <<"EOC" } sort keys %port;

    server {
        listen  127.0.0.1:$port{$_};

        tollgate on;
        tollgate_engine  $_;
        tollgate_endpoints +POST:/invocations;

        location / {
            proxy_set_header  X-Mock-Engine $_;
            proxy_pass        http://127.0.0.1:8081;
        }
    }
EOC

$t->write_file_expand('nginx.conf', <<"EOC");

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone   zone=tollgate:1m;
    tollgate_tier   large { tokens 10m/d; }

    tollgate_api_keys   keys.json;
    tollgate_audit_log  %%TESTDIR%%/audit.log;
$servers
}

EOC

$t->write_file('keys.json', keys_file({ key => 'key', client => 'client', tier => 'large' }));
start_engine($t, 8081);
$t->run();

###############################################################################

# Status, what was charged, and what the engine made.
sub outcome {
	my ($t, $engine, $uri, $body, @lines) = @_;
	my $id = new_id();
	my $response = ask(post($uri, $body, "X-Request-ID: $id", 'X-API-Key: key', @lines),
		port => $port{$engine});
	my ($line) = audited($t, $id);
	my $made = content_json(ask(request("/_mock/made/$id"), port => 8081)) // {};
	# None where nginx itself has noticed that the answer is cut short (HTTP/1.1, the rule since 1.29.7).
	my $status = status($response);
	return ($status, $line, $made);
}

for (@cases) {
	my ($engine, $name, $uri, $body) = @$_;
	my ($status, $line, $made) = outcome($t, $engine, $uri, $body);
	my $input = $line->{input_tokens} // 0;
	# Where it is not streamed, llama.cpp says the input of the first prompt alone.
	$input = $made->{input}
		if "$engine $name" eq 'llamacpp completions, two prompts' and $input >= $made->{input};
	is("$status $input+" . ($line->{output_tokens} // 0),
		'200 ' . ($made->{input} // '?') . '+' . ($made->{output} // '?'), "$engine: $name");
}

# The engine dies: what it made until then.
for (@cuts) {
	my ($engine, $deltas) = @$_;
	my ($status, $line, $made) = outcome($t, $engine, $chat, { @messages, stream => $true },
		"X-Mock-Cut-After: $deltas");
	is($line->{output_tokens} // 0, $made->{output}, "$engine: dies after $deltas");
}

###############################################################################

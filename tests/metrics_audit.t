#!/usr/bin/perl

# Metrics and the audit log tell the same of the same requests: 5,000 of every kind, by two workers, over a reload,
# with one worker killed.

use warnings;
use strict;

use Test::More;
use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/hs256 json keys_file status/;
use Tollgate::Client;
use Tollgate::Engine qw/completion hold needs_engine start_engine/;
use Tollgate::Metered;
use Tollgate::Metrics;

select STDERR; $| = 1;
select STDOUT; $| = 1;

use constant REQUESTS => 5000;

needs_engine();

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->todo_alerts()->plan(79)
	->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    # Of thousands of requests.
    error_log       %%TESTDIR%%/error.log crit;

    tollgate_zone   zone=tollgate:1m state=%%TESTDIR%%/state;
    tollgate_price  mock input=3 output=7 cached_input=0.3;
    tollgate_price  known-model input=1 output=1;

    tollgate_tier  pro    { requests 1000000r/h; tokens 1000m/h; budget 1000/day; }
    tollgate_tier  few    { requests 3r/h; }
    tollgate_tier  thin   { tokens 500/h; }
    tollgate_tier  poor   { budget 0.00005/day; }
    tollgate_tier  narrow { concurrency 1 queue=1 timeout=30ms; }
    tollgate_tier  picky  { models mock; deny tools; scopes chat; }
    tollgate_tier  fenced { cidrs 192.0.2.0/24; }
    tollgate_limit each   key=$remote_addr requests=100r/h;
    tollgate_limit wrong  key=$server_port auth_failures=5r/h;

    tollgate_default_tier  pro;
    tollgate_api_keys      keys.json;
    tollgate_jwt_key_file  secret;
    tollgate_audit_log     %%TESTDIR%%/audit.log;

    upstream dead_first {
        server 127.0.0.1:8083 max_fails=0;
        server 127.0.0.1:8081 backup;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        keepalive_requests  100000;
        client_max_body_size 10k;
        proxy_buffering      off;

        tollgate              on;
        tollgate_auth         api_key jwt;
        tollgate_model_alias  smart mock;
        tollgate_model_alias  quick known-model;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /anthropic/ {
            tollgate_engine  anthropic;
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

        location /dry/ {
            tollgate_dry_run  on;
            proxy_pass        http://127.0.0.1:8081/;
        }

        location /anybody/ {
            tollgate_auth   none;
            tollgate_apply  each;
            proxy_pass      http://127.0.0.1:8081/;
        }

        location /guess/ {
            tollgate_apply  wrong;
            proxy_pass      http://127.0.0.1:8081/;
        }

        location /small/ {
            tollgate_max_body  1k;
            proxy_pass         http://127.0.0.1:8081/;
        }

        location /strict/ {
            tollgate_oversized  refuse;
            proxy_pass          http://127.0.0.1:8081/;
        }

        location /dead/ {
            proxy_pass http://dead_first/;
        }

        location /late/ {
            proxy_read_timeout  50ms;
            proxy_pass          http://127.0.0.1:8081/;
        }

        location /asks/ {
            tollgate_auth             jwt;
            tollgate_jwt_key_request  /_jwks;
            proxy_pass                http://127.0.0.1:8081/;
        }

        location = /_jwks {
            internal;
            return  500;
        }

        location /opaque/ {
            tollgate_auth                   introspection;
            tollgate_introspection_request  /_about;
            proxy_pass                      http://127.0.0.1:8081/;
        }

        location /unknown/ {
            tollgate_auth                   introspection;
            tollgate_introspection_request  /_about_nobody;
            proxy_pass                      http://127.0.0.1:8081/;
        }

        location = /_about_nobody {
            internal;
            tollgate    off;
            proxy_pass  http://127.0.0.1:8085/bad;
        }

        location = /_about {
            internal;
            tollgate    off;
            proxy_pass  http://127.0.0.1:8085;
        }

        location /page/ {
            error_page  403 = @elsewhere;
            proxy_pass  http://127.0.0.1:8081/;
        }

        location @elsewhere {
            tollgate_default_tier  thin;
            proxy_pass             http://127.0.0.1:8081;
        }

        location = /pid {
            tollgate  off;
            return    200 $pid;
        }

        location = /metrics {
            tollgate  off;
            allow     127.0.0.1;
            deny      all;
            tollgate_metrics;
        }
    }

    server {
        listen       127.0.0.1:8085;
        server_name  localhost;

        location / {
            default_type  application/json;
            return        200 '{"active":true,"sub":"opaque"}';
        }

        location /bad {
            default_type  application/json;
            return        200 '{"active":false}';
        }
    }
}

EOC

my $secret = 's' x 32;
$t->write_file('secret', $secret);
chmod 0640, $t->testdir() . '/secret';
$t->write_file('keys.json', keys_file(
	(map { { key => "key-$_", client => $_, tier => $_ } }
		qw/pro few thin poor narrow picky fenced/),
	{ key => 'key-off', client => 'off', disabled => JSON::PP::true },
	{ key => 'key-old', client => 'old', expires => '2020-01-01T00:00:00Z' },
	{ key => 'key-young', client => 'young', not_before => '2090-01-01T00:00:00Z' },
	{ key => 'key-away', client => 'away', cidrs => ['192.0.2.0/24'] },
));
start_engine($t, 8081);
$t->run();
poll { sum(metrics(), 'tollgate_workers') == 2 } or die "A worker is missing\n";

###############################################################################

# What is asked for, again and again. Each is the text of a request.

sub key { return "Authorization: Bearer key-$_[0]" }

sub chat {
	my ($key, $body, @lines) = @_;
	return post('/v1/chat/completions', {
		model => 'mock', max_tokens => 9, messages => [{ role => 'user', content => 'one two' }], %$body
	}, key($key), @lines);
}

sub at {
	my ($prefix, $text) = @_;
	return $text =~ s!^(\w+) !$1 $prefix!r;
}

my $token = sub { 'Authorization: Bearer ' . hs256($secret, { exp => time() + 600, @_ }) };
my @stream = (stream => JSON::PP::true);
my @usage = (stream_options => { include_usage => JSON::PP::true });

my @common = (
	# Let in.
	(map { chat('pro', { model => $_ }) } qw/mock known-model smart quick nobodys-model/),
	chat('pro', { @stream }),
	chat('pro', { @stream, @usage }, 'X-Mock-Tokens: 40'),
	chat('pro', {}, 'X-Mock-Reasoning-Tokens: 3', 'X-Mock-Cached-Tokens: 1'),
	chat('pro', {}, 'X-Mock-Usage: none'),
	chat('pro', { @stream }, 'X-Mock-Usage: none'),
	chat('pro', { n => 2 }),
	post('/v1/completions', { model => 'mock', prompt => ['a', 'b c'], max_tokens => 3 }, key('pro')),
	post('/v1/embeddings', { model => 'mock', input => 'a b c' }, key('pro')),
	post('/v1/responses', { model => 'mock', input => 'a b' }, key('pro')),
	post('/v1/responses', { model => 'mock', input => 'a b', @stream }, key('pro')),
	at('/anthropic', post('/v1/messages', { model => 'mock', max_tokens => 5, @stream,
		messages => [{ role => 'user', content => 'a' }] }, key('pro'))),
	at('/ollama', post('/api/chat', { model => 'mock',
		messages => [{ role => 'user', content => 'a' }] }, key('pro'))),
	at('/tgi', post('/generate', { inputs => 'a b', parameters => { details => JSON::PP::true } },
		key('pro'))),
	request('/v1/models', key('pro')),
	request('/v1/models', $token->(sub => 'jo')),
	at('/dry', chat('few', {})),
	at('/dry', request('/v1/models')),
	request('/anybody/v1/models'),
	at('/opaque', request('/v1/models', 'Authorization: Bearer good')),

	# The engine fails.
	chat('pro', {}, 'X-Mock-Status: 500'),
	chat('pro', {}, 'X-Mock-Status: 429'),
	chat('pro', { @stream }, 'X-Mock-Cut-After: 2', 'X-Mock-Cut-End: error'),
	at('/dead', request('/v1/models', key('pro'))),

	# Refused.
	request('/v1/models'),
	request('/v1/models', key('nobody')),
	(map { request('/v1/models', key($_)) } qw/off old young away fenced/),
	request('/v1/models', key('pro'), 'X-API-Key: key-few'),
	request('/v1/models', $token->(sub => 'jo', exp => 5)),
	request('/v1/models', $token->(sub => 'jo') . 'x'),
	request('/v1/models', $token->(sub => 'jo', tier => 'none')),
	chat('picky', { model => 'known-model' }),
	chat('picky', { tools => [{ type => 'function', function => { name => 'f' } }] }),
	post('/v1/embeddings', { model => 'mock', input => 'a' }, key('picky')),
	request('/v1/nowhere', key('pro')),
	request('/v1//models', key('pro')),
	post('/v1/chat/completions', '{"model": "mock"', key('pro')),
	post('/v1/chat/completions', '{}', key('pro'), 'Content-Encoding: br'),
	post('/v1/chat/completions', 'x' x 20_000, key('pro')),
	at('/small', chat('pro', { user => 'u' x 2000 })),
	(map { chat($_, {}) } qw/few thin poor/),
	at('/strict', chat('thin', { max_tokens => 5000 })),
	request('/guess/v1/models', key('nobody')),
	at('/asks', request('/v1/models', $token->(sub => 'jo'))),
	at('/unknown', request('/v1/models', 'Authorization: Bearer bad')),
	request('/page/v1/nowhere', key('pro')),
	request('/v1/models', key('pro'), 'Upgrade: websocket', 'Connection: upgrade', 'Origin: http://evil.example'),
);

# Others take their time, or the connection.
my @slow = (
	sub { # A client that leaves in the middle of a stream.
		my ($connection) = hold(client => 'pro', tokens => 3, lines => ['X-Mock-Token-Delay-Ms: 1']);
		$connection->close();
	},
	sub { # And one that leaves before there is anything.
		my $connection = connection();
		$connection->send(chat('pro', { @stream }, 'X-Mock-Latency-Ms: 5000'));
		$connection->close();
	},
	sub { # One waits for a slot in vain, and one more has no place to wait.
		my ($holder) = hold(client => 'narrow');
		my @others = map { connection() } 1 .. 3;
		$_->send(completion(client => 'narrow')) for @others;
		$_->answer() for @others;
		$holder->close();
	},
	sub { # The engine takes too long.
		ask(at('/late', chat('pro', {}, 'X-Mock-Latency-Ms: 2000')));
	},
	sub { # No request at all.
		ask("GET /v1/models HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
	},
);

my $sent = 0;
my $connection;

# So many requests, of all kinds in turn.
sub traffic {
	my ($count) = @_;
	for my $number (1 .. $count) {
		my $text = $common[$sent++ % @common];
		for (1 .. 2) {
			$connection //= connection();
			my $answer = $connection->ask($text);
			my $ends = !defined $answer || $answer =~ /^Connection: close/im;
			undef $connection if $ends;
			last if defined $answer;
			$sent++;
		}
		if ($number % 500 == 0) {
			$_->() for @slow;
		}
	}
}

traffic(REQUESTS / 2);
undef $connection;
reload_and_wait($t);
traffic(REQUESTS / 4);

# What a killed worker had begun is in neither.
my ($hanging) = hold(client => 'pro');
undef $connection;
my ($victim) = workers($t);
kill 'KILL', $victim;
poll { !grep { $_ == $victim } workers($t) } or die "It lives\n";
poll { workers($t) == 2 } or die "Nobody comes in its place\n";
traffic(REQUESTS / 4);
undef $connection;
$hanging->close();

###############################################################################

my $m;
my $quiet = poll {
	$m = metrics();
	my $lines = () = $t->read_file('audit.log') =~ /\n/g;
	!sum($m, 'tollgate_in_flight') && !sum($m, 'tollgate_queued')
		&& sum($m, 'tollgate_requests_total') == $lines
		&& sum($m, 'tollgate_audit_lines_total', result => 'written') == $lines;
};
ok($quiet, 'as many requests as lines, none in flight, none in a queue')
	or diag(join ' ', map { "$_ " . sum($m, $_) } qw/tollgate_in_flight tollgate_queued
		tollgate_requests_total tollgate_audit_lines_total/);
my @lines = audit_lines($t, 'audit.log');
cmp_ok(scalar @lines, '>=', REQUESTS, 'they are many: ' . @lines);

# How a line would be counted.
my %known = map { $_ => 1 } qw/mock known-model/;

sub model {
	my ($model) = $_[0]{model} // '';
	return $model eq '' || $known{$model} ? $model : 'other';
}

my %expected;

sub expect {
	my ($name, $amount, %labels) = @_;
	my $key = join ',', map { "$_=$labels{$_}" } sort keys %labels;
	$expected{$name}{$key} += $amount;
}

my $of_credential = qr/^(?:missing_credential|(?:invalid|expired|revoked)_credential|not_yet_valid|invalid_token
	|conflicting_credentials|address_denied|keys_unavailable|introspection_unavailable)$/x;
for my $line (@lines) {
	my %flow = (tier => $line->{tier} // '', model => model($line));
	my %decided = (decision => $line->{decision} // 'none', reason => $line->{reason} // '');
	expect('tollgate_requests_total', 1, %flow, %decided);
	expect('tollgate_request_duration_seconds_count', 1, %flow);
	expect('tollgate_request_duration_seconds_sum', $line->{duration_ms} / 1000, %flow);
	my $usage = $line->{usage} // 'none';
	if (defined $line->{ttft_ms}) {
		expect('tollgate_time_to_first_token_seconds_count', 1, %flow);
		expect('tollgate_time_to_first_token_seconds_sum', $line->{ttft_ms} / 1000, %flow);
		my $rest = ($line->{output_tokens} // 0) - 1;
		if ($usage eq 'measured' && $rest > 0) {
			my $took = $line->{duration_ms} - $line->{ttft_ms};
			expect('tollgate_time_per_output_token_seconds_count', 1, %flow);
			expect('tollgate_time_per_output_token_seconds_sum',
				int($took * 1000 / $rest) / 1e6, %flow);
		}
	}
	if ($usage ne 'none') {
		for my $type (qw/input output cached reasoning/) {
			my $tokens = $line->{"${type}_tokens"} // 0;
			expect('tollgate_tokens_total', $tokens, %flow, type => $type, usage => $usage) if $tokens;
			next if $type eq 'cached' or $type eq 'reasoning';
			expect('tollgate_tokens_per_request_sum', $tokens, %flow, type => $type);
			expect('tollgate_tokens_per_request_count', 1, %flow, type => $type);
		}
		expect('tollgate_cost_total', $line->{cost}, %flow) if $line->{cost};
	}
	my @attempts = ($line->{upstream_status} // 0, ($line->{tried} // '') =~ / (\d{3})/g);
	expect('tollgate_upstream_errors_total', 1, model => $flow{model}, status => $_)
		for grep { $_ >= 500 } @attempts;
	if (defined $line->{auth}) {
		expect('tollgate_auth_total', 1, method => $line->{auth}, result => 'accepted');
	} elsif (($line->{reason} // '') =~ $of_credential) {
		expect('tollgate_auth_total', 1, result => $line->{reason});
	}
}

for my $name (sort keys %expected) {
	my %counted;
	for (series($m, $name)) {
		my ($labels, $value) = @$_;
		my %labels = %$labels;
		# A line has the path as the client sent it, and not how a wrong credential was read.
		delete $labels{endpoint};
		delete $labels{method} if ($labels{result} // 'accepted') ne 'accepted';
		$counted{join ',', map { "$_=$labels{$_}" } sort keys %labels} += $value;
	}
	my @wrong = grep {
		abs(($counted{$_} // 0) - ($expected{$name}{$_} // 0)) > 1e-6
	} keys %{{ %counted, %{$expected{$name}} }};
	is(scalar @wrong, 0, "$name: " . keys(%counted) . ' of them')
		or diag(map { "$_: " . ($counted{$_} // 'not') . ' counted, ' . ($expected{$name}{$_} // 'none')
			. " in the log\n" } sort @wrong);
}

###############################################################################

# The run had everything in it.

my %reasons = map { $_->{reason} // '' => 1 } @lines;
ok($reasons{$_}, "a request was refused for $_") for qw/missing_credential invalid_credential
	expired_credential revoked_credential not_yet_valid conflicting_credentials invalid_token
	address_denied tier_denied model_denied endpoint_denied scope_denied feature_denied
	malformed_path malformed_request request_too_large unsupported_encoding request_over_limit
	requests_exceeded tokens_exceeded concurrency_exceeded budget_exceeded auth_failures_exceeded
	keys_unavailable/;
my %usages = map { $_->{usage} // '' => 1 } @lines;
ok($usages{$_}, "usage that was $_") for qw/measured partial estimated/;
my %status = map { $_->{status} // 0 => 1 } @lines;
ok($status{$_}, "status $_") for qw/200 400 401 403 413 429 499 500 503 504/;
ok((grep { !defined $_->{decision} } @lines), 'nginx answered before anything was decided');
ok((grep { $_->{dry_run} && $_->{decision} eq 'deny' } @lines), 'a dry run let in what it refused');
ok((grep { defined $_->{tried} } @lines), 'another engine was tried');

# What no line tells.

my %endpoints = map { $_->[0]{endpoint} => 1 } series($m, 'tollgate_requests_total');
ok($endpoints{$_}, "endpoint $_") for qw!/v1/chat/completions /v1/completions /v1/embeddings
	/v1/responses /v1/messages /api/chat /generate /v1/models other!;
is(sum($m, 'tollgate_auth_total', method => $_->[0], result => $_->[1]) > 0, 1, "@$_") for
	['none', 'missing_credential'], ['none', 'conflicting_credentials'],
	['api_key', 'invalid_credential'], ['api_key', 'revoked_credential'], ['jwt', 'expired_credential'],
	['jwt', 'keys_unavailable'], ['introspection', 'accepted'], ['introspection', 'invalid_token'];
cmp_ok(sum($m, 'tollgate_queue_wait_seconds_count', tier => 'narrow'), '>=', 5, 'who waited');
cmp_ok(sum($m, 'tollgate_provider_requests_total', provider => '/_jwks', result => 'error'), '>=', 1,
	'a provider failed');
cmp_ok(sum($m, 'tollgate_provider_requests_total', provider => '/_about', result => 'ok'), '>=', 1,
	'another one answered');
cmp_ok(sum($m, 'tollgate_state_writes_total', result => 'ok'), '>=', 1, 'the state was written');
is(sum($m, $_), 0, "$_ is 0") for qw/tollgate_panics_total tollgate_uncounted_requests_total/;
is(sum($m, 'tollgate_audit_lines_total', result => 'lost'), 0, 'no line was lost');

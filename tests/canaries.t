#!/usr/bin/perl

# Nothing secret is written down. A key, a token, a prompt and a completion that are found nowhere else go through each
# refusal that there is, and through each way in which an engine can fail; then they are looked for in all files and on all
# pages. scripts/check-secrets does the same with what all other tests send.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/get header hs256 json keys_file status/;
use Tollgate::Client;
use Tollgate::Metered qw/ask post/;

use File::Find qw/find/;
use IO::Socket::INET;
use MIME::Base64 qw/encode_base64url/;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy realip rewrite/)
	->write_file_expand('nginx.conf', <<'EOF');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone      zone=tollgate:1m state=%%TESTDIR%%/limits.state;
    tollgate_owned_objects zone=objects:1m state=%%TESTDIR%%/objects.state;
    tollgate_price     m input=1000 output=1000;
    tollgate_guard     block {
        input pattern "canary of a forbidden prompt" name=asked block;
        output pattern "canary of a forbidden completion" name=said block;
    }
    tollgate_guard     judged { classifier /_gone input; }
    tollgate_tier      free { }
    tollgate_tier      office { cidrs 192.0.2.0/24; }
    tollgate_tier      moves { addresses 1/h refuse; }
    tollgate_tier      few { models other; }
    tollgate_tier      chat { scopes chat; }
    tollgate_tier      plain { deny tools; }
    tollgate_tier      once { requests 1r/d; }
    tollgate_tier      tokens { tokens 100/d; }
    tollgate_tier      held { concurrency 1; }
    tollgate_tier      money { budget 0.01/day; }
    tollgate_limit     failures key=$http_x_failures auth_failures=1r/d;
    tollgate_api_keys  keys.json;
    tollgate_audit_log %%TESTDIR%%/audit.log;
    set_real_ip_from   127.0.0.1;
    client_body_buffer_size 1k;

    server {
        listen       127.0.0.1:8080;

        tollgate on;
        tollgate_engine vllm;
        proxy_buffering off;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /guarded/ {
            tollgate_guards block;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /judged/ {
            tollgate_guards judged;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /small/ {
            tollgate_max_body 1k;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /fixed/ {
            tollgate_oversized refuse;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /counted/ {
            tollgate_apply failures;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /pages/ {
            tollgate_cors https://chat.example.com;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /tokens/ {
            tollgate_auth jwt;
            tollgate_default_tier free;
            tollgate_jwt_key_file secret;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /fetched/ {
            tollgate_auth jwt;
            tollgate_default_tier free;
            tollgate_jwt_key_request /_gone;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /asked/ {
            tollgate_auth introspection;
            tollgate_default_tier free;
            tollgate_introspection_request /_gone;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /_gone {
            internal;
            proxy_pass http://127.0.0.1:8083;
        }

        location = /metrics { tollgate off; tollgate_metrics clients=100; }
        location = /status { tollgate off; tollgate_status; }
        location = /usage { tollgate_usage; }
    }
}

EOF

my $key = 'tg_canary-of-a-key-0123456789';
my $prompt = 'canary of a prompt, which nobody writes down';
my $completion = 'canary of a completion, which nobody writes down';
my $secret = 'canary of a secret that signs tokens';
my $token = hs256($secret, { sub => 'canary-of-a-subject', exp => time() + 3600 });
# What must be nowhere: what follows is the same in all keys, prompts, and so on.
my @canaries = ('canary-of-a-key', 'canary of a prompt', 'canary of a forbidden prompt', 'canary of a completion',
	'canary of a forbidden completion', 'canary of a secret', ($token =~ /^([^.]+\.[^.]+)\.(.+)$/),
	encode_base64url('canary-of-a-k'));

my %tiers = map { $_ => $_ } qw/free office moves few chat plain once tokens held money/;
my %others = (
	expired => { expires => '2020-01-01T00:00:00Z' },
	early => { not_before => '2100-01-01T00:00:00Z' },
	disabled => { disabled => JSON::PP::true() },
);
$t->write_file('keys.json', keys_file(
	map({ { key => "$key-$_", client => "client-$_", tier => $_ } } sort keys %tiers),
	map({ { key => "$key-$_", client => "client-$_", tier => 'free', %{$others{$_}} } } sort keys %others),
	{ key => "$key-nowhere", client => 'client-nowhere' },
));
$t->write_file('secret', $secret);
chmod 0640, $t->testdir() . '/secret';

my $port = port(8081);
$t->run_daemon(sub { engine($port, $completion) });
$t->waitforsocket("127.0.0.1:$port") or die "The engine does not start\n";
$t->run();

my %chat = (model => 'm', max_tokens => 8, messages => [{ role => 'user', content => $prompt }]);
my $chat = '/v1/chat/completions';

# Each reason, and a request that is refused for it: path, body, tier or credential, further header lines.
my @refusals = (
	missing_credential => [$chat, \%chat, undef],
	invalid_credential => [$chat, \%chat, 'nobody'],
	expired_credential => [$chat, \%chat, 'expired'],
	revoked_credential => [$chat, \%chat, 'disabled'],
	not_yet_valid => [$chat, \%chat, 'early'],
	conflicting_credentials => [$chat, \%chat, 'free', "Authorization: Bearer $key-few"],
	invalid_token => ["/tokens$chat", \%chat, undef, "Authorization: Bearer ${token}x"],
	address_denied => [$chat, \%chat, 'office'],
	addresses_exceeded => [$chat, \%chat, 'moves', 'X-Real-IP: 203.0.113.77'],
	origin_denied => ["/pages$chat", undef, undef, 'Origin: https://evil.example.com',
		'Access-Control-Request-Method: POST', "Sec-WebSocket-Protocol: openai-insecure-api-key.$key-free"],
	tier_denied => [$chat, \%chat, 'nowhere'],
	model_denied => [$chat, \%chat, 'few'],
	endpoint_denied => ['/v1/load_lora_adapter', \%chat, 'free'],
	scope_denied => ['/v1/embeddings', { model => 'm', input => $prompt }, 'chat'],
	feature_denied => [$chat, { %chat, tools => [{ type => 'function', function => { name => 'f', description => $prompt } }] },
		'plain'],
	content_policy => ["/guarded$chat", { %chat, messages => [{ role => 'user', content => 'canary of a forbidden prompt' }] },
		'free'],
	classifier_unavailable => ["/judged$chat", \%chat, 'free'],
	object_not_found => ["/v1/responses", { model => 'm', input => $prompt, previous_response_id => 'resp_1' }, 'free'],
	malformed_path => ["$chat%0A", \%chat, 'free'],
	malformed_request => [$chat, qq({"model":"m","model":"$prompt","messages":[{"role":"user","content":"$prompt"}]}), 'free'],
	malformed_request => [$chat, qq({"model":"m","messages":[{"role":"user","content":"$prompt), 'free'],
	malformed_request => [$chat, qq({"model":{"$prompt":1},"messages":"$prompt"}), 'free'],
	request_too_large => ["/small$chat", { %chat, messages => [{ role => 'user', content => $prompt x 100 }] }, 'free'],
	unsupported_encoding => [$chat, \%chat, 'free', 'Content-Encoding: gzip'],
	request_over_limit => ["/fixed$chat", { %chat, max_tokens => 1000 }, 'tokens'],
	requests_exceeded => [$chat, \%chat, 'once'],
	tokens_exceeded => [$chat, { %chat, max_tokens => 90 }, 'tokens'],
	concurrency_exceeded => [$chat, \%chat, 'held'],
	budget_exceeded => [$chat, { %chat, max_tokens => 100 }, 'money'],
	auth_failures_exceeded => ["/counted$chat", \%chat, 'free', 'X-Failures: x'],
	keys_unavailable => ["/fetched$chat", \%chat, undef, "Authorization: Bearer $token"],
	introspection_unavailable => ["/asked$chat", \%chat, undef, "Authorization: Bearer $token"],
);
my %not_tried = (
	zone_full => 'the zone would have to be full of clients first',
	dropped => 'an operator does that; control.t',
	store_lost => 'the whole of nginx would be in a cluster; cluster_loss.t',
	internal_error => 'a bug, or a planted panic; panics.t',
);

# What an engine does: with the completion in it, or broken in another way.
my @answers = qw/json stream error-json error-page error-event unfinished garbage no-http huge-head redirect
	forbidden forbidden-stream/;

plan(tests => @refusals / 2 + @answers + @canaries + 5 + 2);

sub asks {
	my ($path, $body, $tier, @lines) = @_;
	push @lines, 'Connection: close', defined $tier ? "X-API-Key: $key-$tier" : ();
	# A preflight has no body.
	return ask(defined $body ? post($path, $body, @lines) : request("OPTIONS $path", @lines));
}

# What must have happened before.
asks($chat, \%chat, 'moves', 'X-Real-IP: 198.51.100.7');
asks($chat, \%chat, 'once');
asks($chat, { %chat, max_tokens => 60 }, 'tokens');
asks($chat, \%chat, 'money');
asks("/counted$chat", \%chat, 'nobody', 'X-Failures: x');
my $held = connection();
$held->ask(post($chat, { %chat, stream => JSON::PP::true() }, "X-API-Key: $key-held", 'X-Answer: held'), head => 1);

my %seen;
for (my $i = 0; $i < @refusals; $i += 2) {
	my ($reason, $request) = @refusals[$i, $i + 1];
	my $id = "refusal-$i";
	my ($path, $body, $tier, @lines) = @$request;
	asks($path, $body, $tier, "X-Request-ID: $id", @lines);
	my ($line) = Tollgate::Metered::audited($t, $id);
	is($line->{reason} // $line->{decision}, $reason, $reason);
	$seen{$line->{reason} // ''} = 1;
}
$held->close();

# Each reason of the documentation was there, so that a new one comes here as well.
my $page = do { local $/; open my $file, '<', "$FindBin::Bin/../docs/audit-log.md" or die "Can't open: $!\n"; <$file> };
my ($table) = $page =~ /^## Reasons\n(.*?)^## /ms;
my @missing = grep { !$seen{$_} && !$not_tried{$_} } $table =~ /^\| `(\w+)` \| \d/mg;
is("@missing", '', 'each reason');

for my $answer (@answers) {
	my $path = $answer =~ /forbidden/ ? "/guarded$chat" : $chat;
	my $r = asks($path, { %chat, $answer =~ /stream|event|unfinished/ ? (stream => JSON::PP::true()) : () }, 'free',
		"X-Answer: $answer", "X-Request-ID: answer-$answer");
	my ($line) = Tollgate::Metered::audited($t, "answer-$answer");
	is($line->{reason} // '', $answer =~ /forbidden/ ? 'content_policy' : '', "an engine: $answer");
}

my %pages = map { $_ => get("/$_", $_ eq 'usage' ? "X-API-Key: $key-free" : ()) // '' } qw/metrics status usage/;
is(join(' ', map { status($pages{$_}) } sort keys %pages), '200 200 200', 'pages');

# The state is written when nginx ends; the harness looks at what it left.
$t->stop();

my %written;
find({ no_chdir => 1, wanted => sub {
	my ($name) = $File::Find::name =~ m!^\Q${\ $t->testdir() }\E/(.*)$! or return;
	$written{$name} = $t->read_file($name) if -f $File::Find::name && $name !~ /^(?:nginx\.conf|keys\.json|secret)$/;
} }, $t->testdir());

# At the level debug, nginx writes down what comes and goes, and Tollgate nothing.
my ($lines, $is_debug) = ('', 0);
for (split /^/, $written{'error.log'}) {
	$is_debug = /\[debug\]/ if m!^\d{4}/\d\d/\d\d !;
	$lines .= s/, client: [^,]*, (?:request_id: \w*, )?server: .*//sr unless $is_debug;
}
unlike($lines, qr/\[debug\]/, 'lines of nginx that debug are left out');
like($lines, qr/tollgate: request refused: invalid_credential/, 'those of Tollgate are not');
$written{'error.log'} = $lines;
ok($written{'audit.log'} && $written{'limits.state'} && $written{'objects.state'}, 'logs and states');

for my $canary (@canaries) {
	my @places = (grep({ index($written{$_}, $canary) >= 0 } sort keys %written),
		grep({ index($pages{$_}, $canary) >= 0 } sort keys %pages));
	is("@places", '', 'nowhere: ' . substr $canary, 0, 40);
}

# Answers as X-Answer says.
sub engine {
	my ($port, $completion) = @_;
	my $server = IO::Socket::INET->new(Proto => 'tcp', LocalAddr => "127.0.0.1:$port", Listen => 16, ReuseAddr => 1)
		or die "Can't create listening socket: $!\n";
	local $SIG{PIPE} = 'IGNORE';
	my @open;
	while (my $client = $server->accept()) {
		my ($head, $body) = ('', '');
		while (<$client>) { last if /^\r?\n$/; $head .= $_; }
		read $client, $body, $1 if $head =~ /^Content-Length: (\d+)/mi;
		my ($answer) = $head =~ /^X-Answer: (\S+)/mi;
		print $client answer_of($answer // 'json', $completion);
		$client->flush();
		# The stream goes on as long as its client is there.
		if (($answer // '') eq 'held') { push @open, $client } else { close $client }
	}
}

sub answer_of {
	my ($answer, $completion) = @_;
	my $said = $answer =~ /forbidden/ ? 'canary of a forbidden completion' : $completion;
	my $usage = '"usage":{"prompt_tokens":5,"completion_tokens":8,"total_tokens":13}';
	my $json = qq({"id":"c","object":"chat.completion","model":"m","choices":[{"index":0,"message":)
		. qq({"role":"assistant","content":"$said"},"finish_reason":"stop"}],$usage});
	my $event = qq(data: {"id":"c","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":)
		. qq({"role":"assistant","content":"$said"}}]}\n\n);
	my $end = qq(data: {"id":"c","object":"chat.completion.chunk","model":"m","choices":[],$usage}\n\ndata: [DONE]\n\n);
	my $error = qq({"error":{"message":"no such thing as: $said","type":"BadRequestError","code":400}});
	my %answers = (
		json => ['200 OK', 'application/json', $json],
		forbidden => ['200 OK', 'application/json', $json],
		stream => ['200 OK', 'text/event-stream', $event . $end],
		'forbidden-stream' => ['200 OK', 'text/event-stream', $event . $end],
		held => ['200 OK', 'text/event-stream', $event],
		'error-json' => ['400 Bad Request', 'application/json', $error],
		'error-page' => ['500 Internal Server Error', 'text/html', "<p>$said</p>"],
		'error-event' => ['200 OK', 'text/event-stream', $event . "data: $error\n\n"],
		unfinished => ['200 OK', 'text/event-stream', substr $event, 0, -8],
		garbage => ['200 OK', 'application/json', "\xff\0{$said"],
		redirect => ['302 Found', 'text/plain', $said],
		'huge-head' => ['200 OK', 'text/plain', $said],
	);
	return "$said\r\n\r\n" if $answer eq 'no-http';
	my ($status, $type, $body) = @{$answers{$answer}};
	my $length = $answer eq 'held' || $answer eq 'unfinished' ? '' : 'Content-Length: ' . length($body) . "\r\n";
	my $more = $answer eq 'redirect' ? "Location: http://127.0.0.1/?q=canary\r\n" : '';
	$more .= "X-Said: $said" . 'x' x 10000 . "\r\n" if $answer eq 'huge-head';
	return "HTTP/1.1 $status\r\nContent-Type: $type\r\nConnection: close\r\n$length$more\r\n$body";
}

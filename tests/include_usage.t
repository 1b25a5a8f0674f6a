#!/usr/bin/perl

# The one edit of a request: a stream that would not say what it took is asked to. All else in the
# body stays as it was, byte for byte, also when the body lies in a file, or is sent to a second
# server because the first one failed.

use warnings;
use strict;

use Test::More;
use Test::Nginx;

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

my $t = Test::Nginx->new()->has(qw/http proxy rewrite http_v2/)->has_daemon('curl')->plan(141);

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone  zone=tollgate:1m;
    tollgate_tier  open { tokens 100m/h; }

    tollgate_api_keys   keys.json;
    tollgate_audit_log  %%TESTDIR%%/audit.log;

    upstream dead_first {
        server 127.0.0.1:8083 max_fails=0;
        server 127.0.0.1:8081 backup;
    }

    upstream failing_first {
        server 127.0.0.1:8084 max_fails=0;
        server 127.0.0.1:8081 backup;
    }

    upstream kept {
        server    127.0.0.1:8081;
        keepalive 1;
    }

    server {
        listen       127.0.0.1:8080;
        listen       127.0.0.1:8082 http2;
        server_name  localhost;

        tollgate on;
        proxy_next_upstream  error timeout http_500 non_idempotent;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /off/ {
            tollgate_include_usage  off;
            proxy_pass              http://127.0.0.1:8081/;
        }

        location /vllm/ {
            tollgate_engine  vllm;
            proxy_pass       http://127.0.0.1:8081/;
        }

        location /always/ {
            tollgate_include_usage  always;
            proxy_pass              http://127.0.0.1:8081/;
        }

        location /fallback-off/ {
            client_body_buffer_size  1k;
            error_page  502 = @off;
            proxy_pass  http://127.0.0.1:8083;
        }

        location /fallback-open/ {
            error_page  502 = @open;
            proxy_pass  http://127.0.0.1:8083;
        }

        location /always-fallback-off/ {
            tollgate_include_usage  always;
            error_page              502 = @off;
            proxy_pass              http://127.0.0.1:8083;
        }

        location @off {
            tollgate_include_usage  off;
            rewrite                 ^/[^/]*(.*) $1 break;
            proxy_pass              http://127.0.0.1:8081;
        }

        location @open {
            tollgate    off;
            rewrite     ^/[^/]*(.*) $1 break;
            proxy_pass  http://127.0.0.1:8081;
        }

        location /spilled/ {
            client_body_buffer_size  1k;
            proxy_pass               http://127.0.0.1:8081/;
        }

        location /in-file/ {
            client_body_in_file_only  clean;
            proxy_pass                http://127.0.0.1:8081/;
        }

        location /unbuffered/ {
            client_body_buffer_size  1k;
            proxy_request_buffering  off;
            proxy_http_version       1.1;
            proxy_pass               http://127.0.0.1:8081/;
        }

        location /kept/ {
            proxy_http_version  1.1;
            proxy_set_header    Connection "";
            proxy_pass          http://kept/;
        }

        location /dead-first/ {
            client_body_buffer_size  1k;
            proxy_pass               http://dead_first/;
        }

        location /failing-first/ {
            client_body_buffer_size  1k;
            proxy_pass               http://failing_first/;
        }

        location /fallback/ {
            error_page  502 = @fallback;
            proxy_pass  http://127.0.0.1:8083;
        }

        location @fallback {
            rewrite     ^/fallback(.*) $1 break;
            proxy_pass  http://127.0.0.1:8081;
        }

        location /other-fallback/ {
            error_page  502 = @other;
            proxy_pass  http://127.0.0.1:8083;
        }

        location @other {
            tollgate_engine  vllm;
            rewrite          ^/other-fallback(.*) $1 break;
            proxy_pass       http://127.0.0.1:8081;
        }
    }

    server {
        listen       127.0.0.1:8084;
        server_name  localhost;

        location / {
            # Reads the body.
            proxy_intercept_errors  on;
            error_page              404 =500 /failed;
            proxy_pass              http://127.0.0.1:8081/nowhere/;
        }

        location /failed {
            return 500;
        }
    }
}

EOC

$t->write_file('keys.json', keys_file({ key => 'key-open', client => 'acme', tier => 'open' }));
start_engine($t, 8081);
$t->run();

my $key = 'X-API-Key: key-open';
my $chat = '/v1/chat/completions';
my $messages = '"messages":[{"role":"user","content":"one two \u00e4"}]';

my $asked = { include_usage => JSON::PP::true };

###############################################################################

# What is missing is added, and nothing that the client said is replaced.

my @cases = (
	# what the client says, what the engine gets; what it gets with "always", if that is different
	['nothing', '', $asked],
	['null', ',"stream_options":null', $asked],
	['no options', ',"stream_options":{}', $asked],
	['blanks', qq(,"stream_options" : { \n } ), $asked],
	['other options', ',"stream_options":{ "include_obfuscation" : false }',
		{ %$asked, include_obfuscation => JSON::PP::false }],
	['null for include_usage', ',"stream_options":{"a":[1,{}],"include_usage":null}',
		{ %$asked, a => [1, {}] }],
	['an escaped name', ',"stream\u005foptions":{"include\u005fusage":null}', $asked],
	['yes', ',"stream_options":{"include_usage":true}', undef],
	['no', ',"stream_options":{"include_usage":false}', undef, $asked],
	['no, and more', ',"stream_options":{"include_usage": false ,"a":1}', undef, { %$asked, a => 1 }],
	['not in every chunk', ',"stream_options":{"continuous_usage_stats":false}',
		{ %$asked, continuous_usage_stats => JSON::PP::false }],
);
for my $case (@cases) {
	my ($name, $options, $expected, $if_always) = @$case;
	my $sent = qq({"model":"m","stream":true$options,$messages});
	is(got($chat, $sent), edited($sent, $expected), "chat, said: $name");
	is(got("/off$chat", $sent), edited($sent, undef), "off, said: $name");
	# vLLM is asked for the usage of each chunk, too, unless the client has said something about it.
	my $running = $name eq 'yes' ? $asked : $expected;
	$running = { continuous_usage_stats => JSON::PP::true, %$running } if $running;
	is(got("/vllm$chat", $sent), edited($sent, $running), "vllm, said: $name");
	is(got("/always$chat", $sent), edited($sent, $if_always // $expected), "always, said: $name");
}

# Whoever declines it, doesn't see it, and pays what the engine says.

my $declined = qq({"model":"m","stream":true,"stream_options":{"include_usage":false},$messages});
for (['/always', 'measured'], ['', 'estimated']) {
	my ($place, $usage) = @$_;
	my ($r, $line) = ask_for($t, "$place$chat", $declined, $key, 'X-Mock-Tokens: 7');
	is("$line->{usage} $line->{output_tokens}", "$usage 7", "declined: $usage");
	unlike($r, qr/"usage": *\{/, "declined: not seen, $usage");
}

my $sent = ' {"prompt":"p","stream":true,"model":"m"} ';
is(got('/v1/completions', $sent), edited($sent, $asked), 'completions');
for my $stream ('', ',"stream":false', ',"stream":null') {
	$sent = qq({"model":"m"$stream,$messages});
	is(got($chat, $sent), edited($sent, undef), "no stream: $stream");
	is(got("/vllm$chat", $sent), edited($sent, undef), "no stream, vllm: $stream");
}
for my $endpoint (qw!/v1/messages /api/chat!) {
	$sent = qq({"model":"m","stream":true,"max_tokens":5,$messages});
	is(got($endpoint, $sent), edited($sent, undef), "says it unasked: $endpoint");
}
$sent = '{"model":"m","stream":true,"input":"i"}';
is(got('/v1/responses', $sent), edited($sent, undef), 'says it unasked: /v1/responses');
$sent = '{"inputs":"i"}';
is(got('/generate_stream', $sent), edited($sent, undef), 'says it unasked: /generate_stream');

###############################################################################

# However the body comes, and wherever it lies meanwhile.

my $words = 'w\u00f6rter und \\\\ ' x 1000;
my %long = map {
	my ($name, $options) = @$_[0, 1];
	# Edited at its beginning, and at its end.
	($name => qq({"model":"m","stream":true,"messages":[{"role":"user","content":"$words"}]$options}));
} grep { $_->[0] =~ /^n(?:othing|ull)|other/ } @cases;
my %expected = map { ($_->[0] => $_->[2]) } @cases;

for my $place ('', qw!/spilled /in-file /unbuffered /dead-first /failing-first!) {
	for my $name (sort keys %long) {
		my $expected = edited($long{$name}, $expected{$name});
		my $where = ($place || '/') . ", said: $name";
		is(got("$place$chat", $long{$name}), $expected, $where);
		is(got("$place$chat", $long{$name}, sub { ask(chunked($_[0], $_[1], 1000, @_[2 .. $#_])) }),
			$expected, "$where, in chunks");
	}
	is(got("$place$chat", $long{nothing}, sub { h2($t, @_) }), edited($long{nothing}, $asked),
		($place || '/') . ', HTTP/2');
}
ok($t->read_file('error.log') =~ m/client request body is buffered to a temporary file/,
	'some were in a file');
ok($t->read_file('error.log') =~ m/connect\(\) failed/, 'some went to a dead server first');
ok($t->read_file('access.log') =~ m!"POST $chat HTTP/1.[01]" 500!, 'some to a failing one');

# What is said of the length is true.
for my $place ('', '/spilled') {
	my $echo = content_json(ask(post("$place/echo$chat", $long{null}, $key)));
	my %header = map { lc $_->[0] => $_->[1] } @{$echo->{headers}};
	is($header{'content-length'}, $echo->{body_bytes}, 'Content-Length: ' . ($place || '/'));
}

# Requests behind each other, on both sides.

my $connection = connection();
my @ids = map { new_id() } 1 .. 3;
$sent = qq({"model":"m","stream":true,$messages});
$connection->send(join '', map { post("/kept$chat", $sent, $key, "X-Request-ID: $_") } @ids);
$connection->answer() for @ids;
is(difference($sent, engine_body(8081, $_)), edited($sent, $asked), 'pipelined') for @ids;

# Once, though two locations see it.

is(got("/fallback$chat", $sent), edited($sent, $asked), 'an internal redirect: edited once');
is(got("/other-fallback$chat", $sent),
	edited($sent, { %$asked, continuous_usage_stats => JSON::PP::true }),
	'an internal redirect to another engine');

# What we added is gone where it leads to an engine that is not to be asked, or that we have no say in.

for my $fallback (qw!/fallback-off /fallback-open /always-fallback-off!) {
	for my $options ('', ',"stream_options":null', ',"stream_options":{"include_usage":false}') {
		for my $text ('"one two"', "\"$words\"") {
			$sent = qq({"model":"m","stream":true$options,"messages":[{"role":"user","content":$text}]});
			is(got("$fallback$chat", $sent), edited($sent, undef),
				"$fallback: as it was sent" . (length $text > 10 ? ', long' : '') . ": $options");
		}
	}
}

###############################################################################

# What the engine gets when this is sent, as difference() shows it. $send is called with URI, body
# and header lines.
sub got {
	my ($uri, $sent, $send) = @_;
	$send //= sub { ask(post(@_)) };
	my $id = new_id();
	my $response = $send->($uri, $sent, $key, "X-Request-ID: $id");
	my $got = engine_body(8081, $id);
	return 'nothing: ' . (status($response) // '') unless defined $got;
	return difference($sent, $got);
}

# How an edit should look: "unchanged", or what stream_options are then.
sub edited {
	my ($sent, $options) = @_;
	return $options ? 'with ' . json($options) : 'unchanged';
}

# How a body was edited. All but one place, which is at most a null or false, must be as it was.
sub difference {
	my ($sent, $got) = @_;
	return 'unchanged' if $got eq $sent;
	my $before = common_start($sent, $got);
	my $after = common_start(scalar reverse($sent), scalar reverse($got));
	my $lost = length($sent) - $before - $after;
	return "damaged: $lost bytes lost" if $lost > 5;
	my ($was, $is) = map { eval { JSON::PP->new->utf8->decode($_) } // {} } $sent, $got;
	my $options = delete $is->{stream_options};
	delete $was->{stream_options};
	return 'no JSON' unless %$is;
	return json($is) eq json($was) ? 'with ' . json($options) : 'another request';
}

sub common_start {
	my ($a, $b) = @_;
	($a ^ $b) =~ /^(\0*)/;
	return length $1;
}

###############################################################################

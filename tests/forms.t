#!/usr/bin/perl

# Forms with files, by which sounds are written down and pictures changed: who may use some models only, or whose tier
# says what requests may ask for, is judged by the parts of the form. Two servers that read it must read the same.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/json keys_file status/;
use Tollgate::Client;
use Tollgate::Echo;
use Tollgate::Metered;

use IO::Compress::Gzip qw//;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite http_v2/)->has_daemon('curl')->plan(122)
	->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone  zone=tollgate:1m;
    tollgate_tier  open     { requests 100000r/h; }
    tollgate_tier  whisper  { models whisper-*; default_model whisper-1; }
    tollgate_tier  strict   { models whisper-*; }
    tollgate_tier  given    { default_model whisper-1; }
    tollgate_tier  closed   { deny beam_search; max_n 2; max_output_tokens 100; }
    tollgate_tier  deaf     { deny media; }
    tollgate_tier  known    { unknown_members deny; }
    tollgate_tier  counted  { models whisper-*; tokens 100k/d; }

    tollgate_api_keys   keys.json;
    tollgate_audit_log  %%TESTDIR%%/audit.log;
    client_max_body_size  4m;

    server {
        listen       127.0.0.1:8080;
        listen       127.0.0.1:8082 http2;
        server_name  localhost;

        tollgate         on;
        tollgate_engine  vllm;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /spilled/ {
            client_body_buffer_size  1k;
            proxy_pass  http://127.0.0.1:8081/;
        }

        location /unbuffered/ {
            proxy_request_buffering  off;
            proxy_pass  http://127.0.0.1:8081/;
        }

        location /small/ {
            tollgate_max_body  1k;
            proxy_pass         http://127.0.0.1:8081/;
        }

        location /openai/ {
            tollgate_engine  openai;
            proxy_pass       http://127.0.0.1:8081/;
        }

        location /alias/ {
            tollgate_model_alias  whisper-9 large;
            tollgate_model_alias  default   whisper-2;
            proxy_pass            http://127.0.0.1:8081/;
        }

        location /opened/ {
            tollgate_endpoints  +POST:/v1/audio/*;
            proxy_pass          http://127.0.0.1:8081/;
        }

        location /fixed/ {
            tollgate_model  large;
            proxy_pass      http://127.0.0.1:8081/;
        }

        location /dry/ {
            tollgate_dry_run  on;
            proxy_pass        http://127.0.0.1:8081/;
        }

        location /led/ {
            try_files  /nothing /v1/audio/transcriptions;
        }

        location /variables/ {
            set         $to /v1/audio/transcriptions;
            proxy_pass  http://127.0.0.1:8081$to;
        }

        location = /ping {
            tollgate  off;
            return    204;
        }
    }
}

EOC

$t->write_file('keys.json', keys_file(
	map { { key => "key-$_", client => $_, tier => $_ } } qw/open whisper strict given closed deaf known counted/));

start_echo($t, 8081);
$t->run();

my $uri = '/v1/audio/transcriptions';
my $long = join '', map { chr 32 + $_ % 90 } 1 .. 300_000;

###############################################################################

# Clients send it in one way or another.

sub field {
	my ($name, $text) = @_;
	return "--b\r\nContent-Disposition: form-data; name=\"$name\"\r\n\r\n$text\r\n";
}

sub file {
	my ($name, $contents) = @_;
	return "--b\r\nContent-Disposition: form-data; name=\"$name\"; filename=\"a.wav\"\r\n"
		. "Content-Type: audio/wav\r\n\r\n$contents\r\n";
}

my $type = 'multipart/form-data; boundary=b';

sub form {
	return join('', @_) . "--b--\r\n";
}

# Response, audit line, and what came to the engine.
sub send_form {
	my ($t, $uri, $tier, $body, %options) = @_;
	my $id = new_id();
	my @lines = ("X-API-Key: key-$tier", "X-Request-ID: $id", @{$options{lines} // []});
	my $text = $options{chunks} ? chunked($uri, $body, $options{chunks}, @lines) : post($uri, $body, @lines);
	my $kind = $options{type} // $type;
	$text =~ s!^Content-Type: application/json\r\n!join '', map { "Content-Type: $_\r\n" } ref $kind ? @$kind : $kind!me;
	my $r = ask($text);
	my ($line) = audited($t, $id);
	return ($r, $line, (content_json($r) // {})->{body});
}

# The status and what the log says of it.
sub outcome {
	my ($t, $uri, $tier, $body, %options) = @_;
	my ($r, $line) = send_form($t, $uri, $tier, $body, %options);
	return join ' ', grep { defined } status($r), @$line{qw/reason detail/};
}

my $sound = file('file', "RIFF\0\xff\r\n--a\r\n");
my $good = form($sound, field('model', 'whisper-1'), field('language', 'en'));

for my $tier (qw/open whisper strict given closed known/) {
	my ($r, $line, $arrived) = send_form($t, $uri, $tier, $good);
	is(status($r), 200, "$tier: its own");
	ok(($arrived // '') eq $good, "$tier: as it was sent");
}
is(outcome($t, $uri, 'strict', $good =~ s/whisper-1/large/r), '403 model_denied model_not_allowed tier', 'another one');
is(outcome($t, $uri, 'open', $good =~ s/whisper-1/large/r), '200', 'another one, for whom it is open');
is((send_form($t, $uri, 'strict', $good))[1]{model}, 'whisper-1', 'the log names it');
for my $of ('/v1/audio/translations', '/openai/v1/images/edits', '/openai/v1/images/variations', '/openai/v1/videos') {
	is(outcome($t, $of, 'strict', $good), '200', "$of: its own");
	like(outcome($t, $of, 'strict', $good =~ s/whisper-1/large/r), qr/^403 model_denied/, "$of: another one");
}
is(outcome($t, '/openai/v1/images/edits', 'strict', '{"model":"whisper-1"}', type => 'application/json'), '200', 'as JSON');
like(outcome($t, '/openai/v1/images/edits', 'strict', '{"model":"large"}', type => 'application/json'), qr/^403/,
	'as JSON, another one');
is(outcome($t, $uri, 'counted', $good), '403 endpoint_denied not_counted vllm', 'not where tokens are counted');

# Nothing names its model elsewhere.

for my $case (
	['JSON', '{"model":"whisper-1"}', type => 'application/json'],
	['a form without files', 'model=whisper-1&file=x', type => 'application/x-www-form-urlencoded'],
	['no type', $good, type => []],
	['another type', $good, type => 'text/plain'],
) {
	my ($name, $body, %options) = @$case;
	is(outcome($t, $uri, 'strict', $body, %options), '403 model_denied unread_model', $name);
	is(outcome($t, $uri, 'open', $body, %options), '200', "$name, for others");
}
for my $kind ('multipart/form-data', 'multipart/form-data; boundary=b; boundary=c', 'multipart/form-data; boundary="b',
	'multipart/form-data; boundary=b; charset=utf-16', 'multipart/mixed; boundary=b', [$type, $type],
	['application/json', $type]) {
	is(outcome($t, $uri, 'strict', $good, type => $kind), '400 malformed_request body_not_a_form',
		join ' and ', ref $kind ? @$kind : $kind);
}
like(outcome($t, $uri, 'strict', $good, type => 'Multipart/Form-Data;BOUNDARY="b"; charset=UTF-8'), qr/^200/, 'in other words');

# However it comes.

for my $before ('', '/spilled', '/unbuffered') {
	for my $chunks ($before ? 16384 : (0, 1000)) {
		my $name = "$before/, in chunks of $chunks";
		my $body = form(file('file', $long), field('model', 'whisper-1'));
		my ($r, $line, $arrived) = send_form($t, "$before$uri", 'strict', $body, chunks => $chunks);
		ok(status($r) == 200 && ($arrived // '') eq $body, "its own, $name");
		my $bad = form(file('file', $long), field('model', 'large'));
		like(outcome($t, "$before$uri", 'strict', $bad, chunks => $chunks), qr/^403 model_denied/, "another one, $name");
	}
}
for my $size (1, 7) {
	is(outcome($t, $uri, 'strict', $good, chunks => $size), '200', "in chunks of $size");
}
sub h2_form {
	my ($t, $body) = @_;
	$t->write_file('form', $body);
	return curl('--http2-prior-knowledge', '-i', '-H', 'X-API-Key: key-strict', '-H', 'Content-Type: multipart/form-data; boundary=b',
		'--data-binary', '@' . $t->testdir() . '/form', 'http://127.0.0.1:' . port(8082) . '/v1/audio/transcriptions');
}
like(h2_form($t, $good), qr!^HTTP/2 200!, 'HTTP/2');
like(h2_form($t, $good =~ s/whisper-1/large/r), qr!^HTTP/2 403!, 'HTTP/2: another one');
my $by_curl = curl('-i', '-H', 'X-API-Key: key-strict', '-F', 'file=@' . $t->testdir() . '/form', '-F', 'model=whisper-1',
	'http://127.0.0.1:' . port(8080) . $uri);
like($by_curl, qr!200 OK!, 'as curl makes it');
IO::Compress::Gzip::gzip(\$good, \my $small);
is(outcome($t, $uri, 'strict', $small, lines => ['Content-Encoding: gzip']), '415 unsupported_encoding', 'compressed');
is(outcome($t, "/small$uri", 'strict', $good), '200', 'small enough');
is(outcome($t, "/small$uri", 'strict', form(file('file', 'x' x 2000), field('model', 'whisper-1'))),
	'413 request_too_large', 'too large');
is(outcome($t, "/small$uri", 'open', form(file('file', 'x' x 2000))), '200', 'too large, for whom it is not read');

# What could be read in two ways.

my $model = field('model', 'whisper-1');
for my $case (
	['two models', $sound . $model . $model, 'duplicate_member model'],
	['two models, one of a name that Go and others may take for it', $sound . $model . field('Model', 'large'), 'misspelt_member model'],
	['a list', $sound . $model . field('model[]', 'large'), 'misspelt_member model'],
	['a file', $sound . file('model', 'whisper-1'), 'bad_member model'],
	['a control character', $sound . field('model', "whisper-1\n"), 'bad_member model'],
	['a long one', $sound . field('model', 'whisper-' . 'x' x 300), 'bad_member model'],
	['two names', $sound . $model =~ s/(name="model")/$1; name="x"/r, 'body_not_a_form'],
	['a name in a file\'s name', $sound . $model . file('x', '') =~ s/a\.wav/x; name=model/r, 'body_not_a_form'],
	['an escaped quote', $sound . $model . field('x', 'large') =~ s/"x"/"x"; filename="\\"; name="model"/r, 'body_not_a_form'],
	['an extended name', $sound . $model . field('x', 'large') =~ s/name="x"/name*=utf-8''model/r, 'body_not_a_form'],
	['a delimiter by LF', $sound . $model . field('x', "y\n" . field('model', 'large') =~ s/\r//gr), 'body_not_a_form'],
	['a preamble', "x\r\n$sound$model", 'body_not_a_form'],
	['a delimiter with more behind it', $sound . $model . field('model', 'large') =~ s/--b/--b /r, 'body_not_a_form'],
	['a part in a part', $sound . $model . file('x', '') =~ s!audio/wav!multipart/mixed; boundary=c!r, 'body_not_a_form'],
	['an encoded part', $sound . $model =~ s/\r\n\r\n/\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n/r, 'body_not_a_form'],
	['another charset', $sound . $model =~ s/\r\n\r\n/\r\nContent-Type: text\/plain; charset=utf-7\r\n\r\n/r, 'body_not_a_form'],
	['the charset of all', field('_charset_', 'utf-16') . $sound . $model, 'body_not_a_form'],
	['a header that is folded', $sound . $model =~ s/; name/;\r\n name/r, 'body_not_a_form'],
	['many parts', $sound . field('x', '') x 10_000 . $model, 'body_not_a_form'],
	['a long header', $sound . $model . field('x', '') =~ s/\r\n\r\n/"\r\nX: " . 'y' x 1_000_000 . "\r\n\r\n"/er, 'body_not_a_form'],
) {
	my ($name, $parts, $detail) = @$case;
	is(outcome($t, $uri, 'strict', form($parts)), "400 malformed_request $detail", $name);
}
is(outcome($t, $uri, 'strict', $sound . $model), '400 malformed_request body_not_a_form', 'no end');
is(outcome($t, $uri, 'strict', form($sound, $model) . form(field('model', 'large'))), '400 malformed_request body_not_a_form', 'two forms');
is(outcome($t, $uri, 'strict', ''), '400 malformed_request body_not_a_form', 'no body');
my ($r) = send_form($t, $uri, 'strict', form($sound, $model, $model));
is(content_json($r)->{error}{param}, 'model', 'the client is told which part');
($r) = send_form($t, $uri, 'strict', "x$good");
like(content_json($r)->{error}{message}, qr/boundary/, 'the client is told why');

# No model, and models of other names.

is(outcome($t, $uri, 'strict', form($sound)), '400 malformed_request missing_member model', 'none');
for my $tier (qw/whisper given/) {
	for my $case (['none', $sound, $model . $sound], ['an empty one', $sound . field('model', ''), $sound . $model]) {
		my ($name, $parts, $expected) = @$case;
		my ($r, $line, $arrived) = send_form($t, $uri, $tier, form($parts));
		is($arrived, form($expected), "$tier: $name, and the default");
		is($line->{model}, 'whisper-1', "$tier: $name, in the log");
	}
}
my (undef, $line, $arrived) = send_form($t, "/alias$uri", 'strict', form(field('model', 'default'), $sound));
is($arrived, form(field('model', 'whisper-2'), $sound), 'an alias');
like(outcome($t, "/alias$uri", 'strict', form(field('model', 'whisper-9'), $sound)), qr/^403/, 'an alias of another one');
(undef, $line, $arrived) = send_form($t, "/alias$uri", 'open', form($sound, field('model', 'default')));
is($arrived, form($sound, field('model', 'whisper-2')), 'an alias, for whom all is open');
is(outcome($t, "/alias$uri", 'open', '{}', type => 'application/json'), '200', 'no form, for whom all is open');
like(outcome($t, "/fixed$uri", 'strict', $good), qr/^403/, 'one model, whatever is named');
is(outcome($t, "/fixed$uri", 'open', $good), '200', 'one model, for whom all is open');

# What the tier says of requests.

for my $case (
	['beam search', 'closed', field('use_beam_search', 'true'), 'denied_feature beam_search'],
	['beams too many', 'closed', field('n', '3'), 'over_maximum max_n'],
	['output too long', 'closed', field('max_completion_tokens', '101'), 'over_maximum max_output_tokens'],
	['a sound', 'deaf', '', 'denied_feature media'],
	['a part that nobody knows', 'known', field('next', '1'), 'unknown_member'],
	['what is denied to all who are judged', 'known', field('vllm_xargs', '{}'), 'denied_feature internals'],
	['a URL', 'strict', field('url', 'http://10.0.0.1/'), 'denied_feature remote_media'],
) {
	my ($name, $tier, $parts, $detail) = @$case;
	is(outcome($t, $uri, $tier, form($sound, $model, $parts)), "403 feature_denied $detail", $name);
	is(outcome($t, "/opened$uri", $tier, form($sound, $model, $parts)), '200', "$name, opened");
}
is(outcome($t, $uri, 'closed', form($sound, $model, field('n', '2'), field('max_completion_tokens', '100'))), '200',
	'as much as it may');
is(outcome($t, $uri, 'closed', '{}', type => 'application/json'), '403 endpoint_denied unread_endpoint', 'no form');
like(outcome($t, "/dry$uri", 'strict', $good =~ s/whisper-1/large/r), qr/^200 model_denied/, 'a dry run');

# Wherever nginx leads it.

is(outcome($t, '/led/ping', 'strict', $good), '200', 'redirected: its own');
like(outcome($t, '/led/ping', 'strict', $good =~ s/whisper-1/large/r), qr/^403 model_denied/, 'redirected: another one');
like(outcome($t, '/led/ping', 'deaf', $good), qr/^403 feature_denied/, 'redirected: what the tier says');
for my $tier (qw/strict deaf/) {
	is(outcome($t, '/variables/ping', $tier, $good), '403 endpoint_denied forwarded_elsewhere', "$tier: by variables");
}
is(outcome($t, '/variables/ping', 'open', $good), '200', 'by variables, for whom all is open');

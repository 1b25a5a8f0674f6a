#!/usr/bin/perl

# A page that is sent with 200 in the place of an engine's answer (error_page ... =200) costs nothing: no
# engine made it. Another engine's answer is charged, and so is one that the first engine still works at.

use warnings;
use strict;

use Test::More;
use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/header keys_file status/;
use Tollgate::Client;
use Tollgate::Engine qw/needs_engine start_engine/;
use Tollgate::Metered;

use JSON::PP qw//;

select STDERR; $| = 1;
select STDOUT; $| = 1;

needs_engine();

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(18);

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone       zone=tollgate:1m;
    # Nothing is refilled while the test runs.
    tollgate_tier       free { tokens 300/d burst=100k; }
    # So that nothing is learned of the input.
    tollgate_estimate   bytes_per_token=4;
    tollgate_api_keys   keys.json;
    tollgate_audit_log  %%TESTDIR%%/audit.log;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        tollgate on;
        proxy_intercept_errors  on;

        location /file/ {
            error_page  500 502 =200 /sorry.json;
            proxy_pass  http://127.0.0.1:8081/;
        }

        location /file/dead/ {
            error_page  502 =200 /sorry.json;
            proxy_pass  http://127.0.0.1:8083/;
        }

        location /return/ {
            error_page  500 =200 /said;
            proxy_pass  http://127.0.0.1:8081/;
        }

        location /other/ {
            error_page  500 =200 @other;
            proxy_pass  http://127.0.0.1:8081/;
        }

        location /slow/ {
            tollgate_engine     llamacpp;
            proxy_read_timeout  500ms;
            error_page          504 =200 /sorry.json;
            proxy_pass          http://127.0.0.1:8081/;
        }

        location = /sorry.json {
            root  %%TESTDIR%%;
        }

        location = /said {
            return  200 '{"choices":[{"message":{"content":"Come back later"}}]}';
        }

        location @other {
            rewrite           ^/other(/.*) $1 break;
            proxy_set_header  X-Mock-Status "";
            proxy_pass        http://127.0.0.1:8081;
        }
    }
}

EOC

$t->write_file('sorry.json', '{"choices":[{"message":{"content":"Come back later"}}]}');
my @cases = (
	['/file', 'none'], ['/file/dead', 'none'], ['/return', 'none'], ['/other', 'measured 3 16'],
	['/slow', 'partial 13 100', 'X-Mock-Latency-Ms: 60000'],
);
$t->write_file('keys.json',
	keys_file(map { { key => "key-$_", client => "c$_", tier => 'free' } } 0 .. 2 * @cases));
start_engine($t, 8081);
$t->run();

###############################################################################

my $number = 0;
for my $stream (0, 1) {
	for my $case (@cases) {
		my ($place, $expected, @lines) = @$case;
		# A stream ends with its client's connection.
		next if $stream && $place =~ /slow/;
		my $key = 'X-API-Key: key-' . $number++;
		@lines = ('X-Mock-Status: 500') unless @lines;
		my $body = { model => 'm', max_tokens => 100, $stream ? (stream => JSON::PP::true) : (),
			messages => [ { role => 'user', content => 'one two three' } ] };
		my ($r, $line) = ask_for($t, "$place/v1/chat/completions", $body, $key, @lines);
		my $taken = join ' ', status($r), map { $_ // () } @$line{qw/usage input_tokens output_tokens/};
		is($taken, "200 $expected", "$place, " . ($stream ? 'stream' : 'document'));
		$r = ask(post('/file/v1/chat/completions', $body, $key, 'X-Mock-Status: 400'));
		is(header($r, 'x-ratelimit-remaining-tokens'),
			100_000 - 113 - ($line->{input_tokens} // 0) - ($line->{output_tokens} // 0),
			"$place: charged as logged");
	}
}

###############################################################################

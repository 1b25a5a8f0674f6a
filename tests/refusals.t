#!/usr/bin/perl

# A refusal stands, whatever nginx runs after it: error_page leads the request to other locations,
# with "recursive_error_pages" as often as they like, and none of them is a way to the engine. Only a
# location under another policy may let in whom the first one refused.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/header headers keys_file status/;
use Tollgate::Client;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http http_v2 proxy fastcgi rewrite access mirror ssi/)
	->has_daemon('curl');
my $dav = $t->has_module('dav');

# The ways on from a refusal; each is the error_page of a location, for 401 and 429.
my @ways = (
	['try_files, named', '= @login'],
	['try_files, by path', '/401.json'],
	['index', '/pages/'],
	['rewrite', '= @rewrite'],
	['rewrite without a redirect', '= @break'],
	['backend, named', '= @engine'],
	['backend, by path', '/engine'],
	['fastcgi', '= @fastcgi'],
	['an if in the location', '= @if'],
	['satisfy any', '= @granted'],
	['satisfy any and try_files', '= @granted_try'],
	['two error pages', '/twice'],
	['an open location and try_files', '= @open_try'],
	['another policy that refuses as well', '= @other_keys'],
	['two policies that refer to each other', '= @first'],
	$dav ? ['writing a file', '= @dav'] : (),
);

# Where it ends well: a page of the operator's, for GET.
my @pages = (
	['a file', '/page.html', 401, 'PAGE'],
	['a file, named', '= @page', 200, 'PAGE'],
	['a file behind satisfy any', '= @granted_page', 200, 'PAGE'],
	['return', '= @return', 418, 'RETURN'],
	['a mirrored file', '= @mirrored', 200, 'PAGE'],
	['a file with SSI', '= @ssi', 200, 'PAGE'],
	['an open page that is mirrored', '= @open_mirrored', 200, 'PAGE'],
);

my $number = 0;
my $locations = join '', map {
	my ($name, $page) = @$_;
	$number++;
	my $open = "location /open$number { error_page 401 429 $page; proxy_pass http://127.0.0.1:8081; }\n";
	"        $open";
} @ways, @pages;

my $common = <<'EOC';
        tollgate on;

%%LOCATIONS%%

        location @login       { root %%TESTDIR%%; try_files /missing.html @engine; }
        location = /401.json  { root %%TESTDIR%%; try_files $uri @engine; }
        location /pages/      { root %%TESTDIR%%; index missing.html /engine; }
        location @rewrite     { rewrite ^ /engine last; }
        location @break       { rewrite ^ /engine break; proxy_pass http://127.0.0.1:8081; }
        location @fastcgi     { fastcgi_pass 127.0.0.1:8081; }
        location @if          { root %%TESTDIR%%; if ($uri) { proxy_pass http://127.0.0.1:8081; } }
        location @granted     { satisfy any; allow all; proxy_pass http://127.0.0.1:8081; }
        location @granted_try { satisfy any; allow all; root %%TESTDIR%%; try_files /missing.html @engine; }
        location = /twice     { root %%TESTDIR%%; error_page 404 = @login; try_files /missing.html =404; }
        location @open_try    { tollgate off; root %%TESTDIR%%; try_files /missing.html @engine; }
        location @other_keys  { tollgate_api_keys other.json; proxy_pass http://127.0.0.1:8081; }
        location @dav         { %%DAV%% }

        # One refuses with 401, the other one with 429.
        location @first       { tollgate_api_keys other.json; error_page 401 = @second;
                                proxy_pass http://127.0.0.1:8081; }
        location @second      { tollgate_apply failures; error_page 401 429 = @first;
                                proxy_pass http://127.0.0.1:8081; }

        location @engine      { proxy_pass http://127.0.0.1:8081; }
        location /engine      { proxy_pass http://127.0.0.1:8081; }

        location /page.html    { root %%TESTDIR%%; }
        location @page         { root %%TESTDIR%%; rewrite ^ /page.html break; }
        location @granted_page { satisfy any; allow all; root %%TESTDIR%%; rewrite ^ /page.html break; }
        location @return       { return 418 RETURN; }
        location @mirrored     { mirror /mirror; root %%TESTDIR%%; rewrite ^ /page.html break; }
        location @open_mirrored { tollgate off; mirror /mirror; proxy_pass http://127.0.0.1:8084; }
        location = /mirror     { internal; proxy_pass http://127.0.0.1:8081; }
        location @ssi          { ssi on; root %%TESTDIR%%; rewrite ^ /ssi.html break; }

        location /granted { satisfy any; allow all; root %%TESTDIR%%; try_files /missing.html @engine; }

        location /lifted { error_page 401 429 = @lifted; proxy_pass http://127.0.0.1:8081; }
        location @lifted { tollgate_auth none; tollgate_apply everybody; proxy_pass http://127.0.0.1:8081; }

        location /opened { error_page 401 429 = @opened; proxy_pass http://127.0.0.1:8081; }
        location @opened { tollgate off; proxy_pass http://127.0.0.1:8081; }

        location /after  { post_action @engine; proxy_pass http://127.0.0.1:8081; }
EOC
$common =~ s/%%LOCATIONS%%/$locations/;
$common =~ s/%%DAV%%/$dav ? 'root %%TESTDIR%%; dav_methods PUT;' : 'return 404;'/e;

my $conf = <<'EOF';

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone      zone=tollgate:1m;
    tollgate_endpoints  +*:/*;
    tollgate_tier      free { requests 100000r/h; }
    tollgate_tier      none { requests 1r/d; }
    tollgate_limit     everybody key=all requests=100000r/h;
    tollgate_limit     failures key=$http_x_failures auth_failures=1r/d;
    tollgate_api_keys  keys.json;
    tollgate_audit_log %%TESTDIR%%/audit.log;

    server {
        listen       127.0.0.1:8080;
        recursive_error_pages on;
%%COMMON%%
    }

    server {
        listen       127.0.0.1:8082;
%%COMMON%%
    }

    server {
        listen       127.0.0.1:8083 http2;
        recursive_error_pages on;
%%COMMON%%
    }

    server {
        listen       127.0.0.1:8084;

        location / { return 200 PAGE; }
    }

    server {
        listen       127.0.0.1:8081;

        location / {
            access_log %%TESTDIR%%/engine.log;
            return 200 ENGINE;
        }
    }
}

EOF
$conf =~ s/%%COMMON%%/$common/g;
$t->write_file_expand('nginx.conf', $conf);
$t->write_file('page.html', 'PAGE');
$t->write_file('ssi.html', 'PAGE<!--#include virtual="/engine" -->');
mkdir $t->testdir() . '/pages' or die "Can't create pages: $!\n";
$t->write_file('keys.json', keys_file(
	{ key => 'tg_good', client => 'acme', tier => 'free' },
	{ key => 'tg_spent', client => 'spent', tier => 'none' },
));
$t->write_file('other.json', keys_file({ key => 'tg_other', client => 'other', tier => 'free' }));

$t->plan(2 * (4 * @ways + 3 * @pages + 13) + @ways + 8);
$t->run();

###############################################################################

my $r;
my $reached = 0;

for my $server ([8080, 'recursive'], [8082, 'once']) {
	my ($port, $mode) = @$server;

	# The one request that it has.
	$r = ask($port, 'GET', '/engine', 'X-API-Key: tg_spent');
	$reached += 1 if http_content($r) eq 'ENGINE';

	$number = 0;
	for (@ways) {
		my ($name) = @$_;
		$number++;
		# A page that is missing, and has no other one in its place.
		my $missing = $name eq 'two error pages' && $mode eq 'once' ? 404 : undef;
		my $no_file = $name eq 'writing a file' ? 404 : $missing;
		is(refused($port, 'POST', $number), ($missing // 401) . ' ',
			"$mode: $name: nobody gets through by POST");
		is(refused($port, 'GET', $number), ($no_file // 401) . ' ', "$mode: $name: nor by GET");
		is(refused($port, 'PUT', $number, 'X-API-Key: tg_wrong'), ($missing // 401) . ' ',
			"$mode: $name: nor with a wrong key");
		my $other = $name =~ /another policy/ || ($name =~ /two policies/ && $mode eq 'once');
		my $spent = $other ? '401 ' : ($missing // 429) . ' Retry-After';
		is(refused($port, 'POST', $number, 'X-API-Key: tg_spent'), $spent,
			"$mode: $name: nor beyond a limit");
	}
	for (@pages) {
		my ($name, undef, $status, $content) = @$_;
		$number++;
		$r = ask($port, 'GET', "/open$number");
		is(status($r), $status, "$mode: $name: its status");
		like(http_content($r), qr/^\Q$content\E/, "$mode: $name: it is served");
		$r = ask($port, 'GET', "/open$number", 'X-API-Key: tg_spent');
		is(defined header($r, 'Retry-After') ? 1 : 0, status($r) >= 400 ? 1 : 0, "$mode: $name: Retry-After with an error");
	}

	# the twins

	$r = ask($port, 'POST', '/open1', 'X-API-Key: tg_good');
	is(http_content($r), 'ENGINE', "$mode: a good key gets through");
	$reached++;
	is(header($r, 'Retry-After'), undef, "$mode: without Retry-After");

	$r = ask($port, 'POST', '/lifted');
	is(http_content($r), 'ENGINE', "$mode: another policy may let in");
	is(status($r), 200, "$mode: and that is no error");
	is(headers($r, 'X-Request-ID'), 1, "$mode: with one id");
	$reached++;

	$r = ask($port, 'POST', '/opened');
	is(http_content($r), 'ENGINE', "$mode: so may a location that isn't protected");
	$reached++;

	$r = ask($port, 'POST', '/after');
	is(status($r), 401, "$mode: post_action of a refused request");
	$r = ask($port, 'POST', '/after', 'X-API-Key: tg_good');
	is(status($r), 200, "$mode: post_action of another one");
	$reached += 2;

	# Access that another module granted holds where it did.
	$r = ask($port, 'POST', '/granted');
	is(status($r), 401, "$mode: granted by another module elsewhere");
	$r = ask($port, 'POST', '/granted', 'X-API-Key: tg_good');
	is(http_content($r), 'ENGINE', "$mode: granted by another module elsewhere, and a good key");
	$reached++;

	# in our words

	$r = ask($port, 'POST', '/open1');
	is(content_json($r)->{error}{code}, 'invalid_api_key', "$mode: the answer is ours");
	is(headers($r, 'WWW-Authenticate'), 1, "$mode: with one challenge");
	is(headers($r, 'X-Request-ID'), 1, "$mode: and one id");
}

# HTTP/2

my $h2 = 'http://127.0.0.1:' . port(8083);
$number = 0;
for (@ways) {
	$number++;
	is(curl(qw/--http2-prior-knowledge -o/, $t->testdir() . '/out', '-w', '%{http_code}', '-X', 'POST',
		"$h2/open$number"), 401, "HTTP/2: $_->[0]");
}
is(curl('--http2-prior-knowledge', '-d', '{}', '-H', 'X-API-Key: tg_good', "$h2/open1"), 'ENGINE',
	'HTTP/2: a good key');
$reached++;

# what the log says, and the engine

$t->stop();
my @engine = split /\n/, $t->read_file('engine.log');
is(@engine, $reached, 'the engine got what was let in, and nothing else');

my @lines = audit_lines($t, 'audit.log');
my %decisions;
$decisions{join ' ', grep { defined } @$_{qw/path decision reason/}}++ for @lines;
is_deeply([sort grep { m!^/open\d+ allow! } keys %decisions], ['/open1 allow'],
	'log: nobody but who had a key');
is($decisions{'/open1 allow'}, 3, 'log: so often');
ok((!grep { m!^/open! && !/ (allow|deny (missing_credential|invalid_credential|requests_exceeded))$/ }
	keys %decisions), 'log: refused for the reason of before');
is($decisions{'/lifted allow'}, 2, 'log: whom another policy let in');
is($decisions{'/opened deny missing_credential'}, 2, 'log: whom nobody let in');
ok(!-e $t->testdir() . '/open' . @ways, 'nothing is written');

###############################################################################

# Status and, of a refusal by a limit, whether it says how long to wait; and what came through.
sub refused {
	my ($port, $method, $number, @lines) = @_;
	my $r = ask($port, $method, "/open$number", @lines);
	my $through = http_content($r) =~ /ENGINE/ ? 'through' : '';
	return join ' ', status($r) // 'none', $through . (defined header($r, 'Retry-After') ? 'Retry-After' : '');
}

sub ask {
	my ($port, $method, $uri, @lines) = @_;
	push @lines, 'Content-Length: 2' if $method ne 'GET';
	return http(join("\r\n", "$method $uri HTTP/1.0", 'Host: localhost', @lines, '', $method ne 'GET' ? '{}' : ''),
		socket => IO::Socket::INET->new(Proto => 'tcp', PeerAddr => '127.0.0.1:' . port($port)));
}

###############################################################################

#!/usr/bin/perl

# A bug in a callback fails the request at hand, and nothing else: the worker lives on, and what the
# panic said, which may be a secret, is written nowhere. Debug builds have a directive that plants a
# panic; with others this test is skipped.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/get header keys_file status/;
use Tollgate::Client;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my @callbacks = qw/access precontent header_filter body_filter variable log timer files/;

my $locations = join '', map { <<EOF } @callbacks;
        location /$_ {
            tollgate_debug_panic $_;
            add_header X-Client \$tollgate_client always;
            proxy_pass http://127.0.0.1:8081;
        }
EOF

my $conf = <<'EOF';

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone zone=tollgate:1m;
    tollgate_endpoints  +*:/*;
    tollgate_tier many { requests 100r/h; }
    tollgate_limit by_client key=$tollgate_client requests=100r/h;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        tollgate on;
        tollgate_api_keys keys.json;
        tollgate_audit_log %%TESTDIR%%/audit.log buffer=64k flush=10ms;

        # A limit that is counted by what fails.
        location /key {
            tollgate_debug_panic variable;
            tollgate_apply by_client;
            proxy_pass http://127.0.0.1:8081;
        }

        # A backend that is chosen by what fails.
        location /backend {
            tollgate_debug_panic variable;
            set $backend 127.0.0.1:8081;
            proxy_pass http://$backend/$tollgate_tier;
        }

        location / {
            add_header X-Worker $pid always;
            proxy_pass http://127.0.0.1:8081;
        }

LOCATIONS
    }

    server {
        listen       127.0.0.1:8081;
        server_name  localhost;
        return       200 "ENGINE $http_x_api_key";
    }
}

EOF

$conf =~ s/LOCATIONS/$locations/;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)
	->write_file_expand('nginx.conf', $conf);

write_keys($t, 'other');
$t->try_run('no tollgate_debug_panic: not a debug build')->plan(69);

###############################################################################

my $worker = header(get('/', 'X-API-Key: key-other'), 'X-Worker');
my $r;

# a 500 in our words, and no word to the backend

for my $callback (qw/access precontent header_filter/) {
	$r = get("/$callback", "X-API-Key: key-$callback");
	is(status($r), 500, "$callback: 500");
	is(content_json($r)->{error}{code}, 'internal_error', "$callback: our body");
	is(header($r, 'Content-Length'), length http_content($r), "$callback: its length");
	ok(header($r, 'X-Request-ID'), "$callback: an id to quote");
	unlike($r, qr/planted|ENGINE/, "$callback: nothing else");
	lives_on($callback);

	# PRECONTENT comes after the refusal.
	is(status(get("/$callback")), $callback eq 'precontent' ? 401 : 500,
		"$callback: who would be refused");
	unlike(connection()->ask(request("HEAD /$callback", "X-API-Key: key-$callback"), head => 1),
		qr/ENGINE/, "$callback: HEAD");
	lives_on("$callback, without a key");
}

for my $uri (qw!/key /backend!) {
	$r = get($uri, 'X-API-Key: key-other');
	is(status($r), 500, "variable, $uri: 500");
	unlike($r, qr/planted|ENGINE/, "variable, $uri: no answer of the backend");
	lives_on("variable, $uri");
}

# as if nothing had happened

for my $callback (qw/body_filter variable log timer files/) {
	$r = get("/$callback", "X-API-Key: key-$callback");
	is(status($r), 200, "$callback: let through");
	is(http_content($r), 'ENGINE ', "$callback: the backend's answer");
	lives_on($callback);
}
is(header(get('/variable', 'X-API-Key: key-variable'), 'X-Client'), undef, 'variable: empty');
is(header(get('/log', 'X-API-Key: key-log'), 'X-Client'), 'log', 'variable: elsewhere it is not');

# A refusal whose body is lost: the length is sent already, so the connection can't go on.
my $c = connection();
$r = $c->ask(request('/body_filter'));
unlike($r // '', qr/ENGINE/, 'body_filter: a refusal stays one');
ok($c->is_closed(), 'body_filter: a refusal without its body ends the connection');
lives_on('body_filter, refused');

# A changed file, in the reading of which there is a bug, changes nothing; the next one does.
write_keys($t, 'other', 'first');
ok(poll { $t->read_file('error.log') =~ /keys\.json"; what was read before stays/ }, 'files: told');
is(status(get('/', 'X-API-Key: key-first')), 401, 'files: a key of a file that is not in use');
lives_on('files, changed');
write_keys($t, 'other', 'first', 'second');
ok(poll { status(get('/', 'X-API-Key: key-second')) == 200 }, 'files: the next change is in force');
is(status(get('/', 'X-API-Key: key-first')), 200, 'files: all of it');
lives_on('files, changed again');

# what was written down

$t->stop();

my (%lines, @broken);
for my $line (audit_lines($t, 'audit.log')) {
	push @broken, $line unless ref $line;
	push @{$lines{$line->{path}}}, join ' ', grep { defined } @$line{qw/decision reason detail status/};
}
is("@broken", '', 'log: valid');
for my $callback (qw/access precontent header_filter/) {
	my $detail = $callback eq 'header_filter' ? 'headers_failed' : 'panic';
	is($lines{"/$callback"}[0], "deny internal_error $detail 500", "log: $callback");
}
is($lines{'/timer'}[0], 'allow 200', 'log: what waited for the timer is written after all');
is($lines{'/log'}, undef, 'log: of a line that could not be made, nothing');

my $log = $t->read_file('error.log');
unlike($log, qr/planted-secret-payload/, 'the message of a panic is not logged');
like($log, qr/\[crit\].*tollgate: internal error at \S+:\d+/, 'the place of a panic is');
like($log, qr/\[error\].*request refused: internal_error \(panic\): .*, request_id: \S+,/, 'with the id of its request');
is(() = $log =~ /internal error with/g, 1, 'files: told once');

###############################################################################

sub write_keys {
	my ($t, @clients) = @_;
	my $keys = keys_file(map { { key => "key-$_", client => $_, tier => 'many' } } @callbacks, @clients);
	$t->write_file('new.json', $keys);
	rename($t->testdir() . '/new.json', $t->testdir() . '/keys.json') or die "keys.json: $!\n";
}

# The same worker serves the next request, of somebody else.
sub lives_on {
	my ($name) = @_;
	my $response = get('/', 'X-API-Key: key-other');
	is(status($response) . ' ' . header($response, 'X-Worker'), "200 $worker",
		"$name: the worker lives on");
}

###############################################################################

#!/usr/bin/perl

# "tollgate client" and "tollgate status" at the socket of a real nginx: what a client has left, a fresh limit, an
# end of its requests, and the whole server at a glance.

use warnings;
use strict;

use Test::More;

use JSON::PP qw//;

use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/ keys_file status /;
use Tollgate::Client;
use Tollgate::Engine;

select STDERR; $| = 1;
select STDOUT; $| = 1;

needs_engine();
my $cli = $ENV{TOLLGATE_CLI};
plan(skip_all => 'TOLLGATE_CLI is not set') unless defined $cli;

my $t = Test::Nginx->new()->has(qw/http proxy/)->plan(26);
my $d = $t->testdir();

$t->write_file_expand('nginx.conf', <<'EOF');

%%TEST_GLOBALS%%

daemon off;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone zone=tollgate:1m;
    tollgate_control unix:%%TESTDIR%%/control.sock;
    tollgate_tier pro {
        requests 3r/d;
        budget   1000/day;
    }
    tollgate_tier free { }
    tollgate_price * input=1000 output=1000;

    proxy_buffering off;

    server {
        listen       127.0.0.1:8080 reuseport;
        server_name  localhost;

        tollgate on;
        tollgate_api_keys keys.json;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }
    }
}

EOF

my $odd = "\x{202e}odd <b>" . 'n' x 200;
$t->write_file('keys.json', keys_file(
	{ key => 'key-acme', client => 'acme', tier => 'pro' },
	{ key => 'key-loud', client => 'loud', tier => 'free' },
	{ key => 'key-odd', client => $odd, tier => 'pro' },
));
start_engine($t, 8081);
$t->run();

###############################################################################

is(status(complete(client => 'acme', max => 1)), 200, 'a request') for 1 .. 3;
is(status(complete(client => 'acme', max => 1)), 429, 'the limit is spent');

my ($exit, $out, $err) = command('client', 'show', 'acme');
is("$exit$err", '0', 'a client is shown');
like($out, qr/^  requests     4, 1 of them refused$/m, 'what it sent');
like($out, qr/^requests 3r\/d +3 +0 +3 +100%  in \d+ hours$/m, 'what it has left');
like($out, qr/^budget 1000\/day +0\.006 +999\.994 +1000 +0%/m, 'also of money');
($exit, $out) = command('client', 'show', 'acme', '--json');
is(JSON::PP::decode_json($out)->{limits}[0]{used}, 3, 'as JSON, too');
($exit, $out) = command('client', 'show', 'nobody');
is("$exit$out", '1', 'who was not seen is not there');

complete(client => 'odd', max => 1);
($exit, $out) = command('client', 'list', '--sort', 'name');
is($exit, 0, 'clients are listed');
like($out, qr/^acme +pro +4 +6 +0\.006 +100%$/m, 'with what they use');
is(join(', ', grep { length $_ > 84 } split /\n/, $out), '', 'in lines that fit');
unlike($out, qr/\xe2\x80\xae/, 'nothing turns the direction of the text');
($exit, $out) = command('client', 'list', '--search', 'acm', '--json');
is(join(' ', map { $_->{client} } @{JSON::PP::decode_json($out)->{clients}}), 'acme', 'those that are searched for');

($exit, $out) = command('client', 'reset', 'acme', '--limit', 'budget');
is("$exit $out", "0 acme: budget anew\n", 'a budget begins anew');
is(status(complete(client => 'acme', max => 1)), 429, 'and nothing else');
($exit, $out) = command('client', 'reset', 'acme');
is("$exit $out", "0 acme: all limits anew\n", 'all begins anew');
is(status(complete(client => 'acme', max => 1)), 200, 'and the client is let in');

my ($one) = hold(client => 'loud');
my ($other) = hold(client => 'loud');
($exit, $out) = command('client', 'drop', 'loud');
is("$exit $out", "0 loud: 2 requests have ended\n", 'requests are dropped');
($exit, $out) = command('client', 'drop', 'loud');
is("$exit$out", '1', 'there are no others');

($exit, $out, $err) = command('status');
is("$exit$err", '0', 'the server at a glance');
like($out, qr/^Tollgate \S+, nginx 1\.\S+\n.*^requests_exceeded +[12]\b.*in 2 of 2 workers/ms,
	'with what was refused, and what is in force') or diag($out);
($exit, $out) = command('status', '--json');
my ($told) = @{JSON::PP::decode_json($out)};
is($told->{overview}{workers}, 2, 'as JSON, too');
is(scalar @{$told->{sets}}, 1, 'with what the file says');
($exit, $out) = command('status', '--json', '--status-file', "$d/nginx.tollgate-status", { alone => 1 });
ok(!exists JSON::PP::decode_json($out)->[0]{overview}, 'of the file alone, what is in force');

###############################################################################

# Exit status, output and errors of the command; "alone": without the socket.
sub command {
	my (@arguments) = @_;
	my $options = ref $arguments[-1] ? pop @arguments : {};
	local %ENV = (%ENV, TOLLGATE_STATUS => "$d/nginx.tollgate-status", TOLLGATE_CONTROL => "$d/control.sock");
	delete $ENV{TOLLGATE_CONTROL} if $options->{alone};
	my $command = join ' ', map { "'$_'" } $cli, @arguments;
	my $out = `$command 2>$d/command.err`;
	my $exit = $? >> 8;
	open my $file, '<', "$d/command.err" or die "Can't open command.err: $!\n";
	local $/;
	return ($exit, $out, scalar(<$file>) // '');
}

###############################################################################

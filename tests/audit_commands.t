#!/usr/bin/perl

# The command reads what a real nginx writes: a request is found by the id that the client got, through a rotation;
# a report adds up what several workers wrote; and ordinary requests are nothing unusual.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/header keys_file status/;
use Tollgate::Client;
use Tollgate::Engine;

use JSON::PP qw//;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $command = $ENV{TOLLGATE_CLI} // '';
plan(skip_all => 'no command: set TOLLGATE_CLI') unless -x $command;
needs_engine();

my $t = Test::Nginx->new()->has(qw/http proxy/)->plan(18);

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone       zone=tollgate:1m;
    tollgate_tier       pro { }
    tollgate_price      priced input=1 output=2;
    tollgate_api_keys   keys.json;
    tollgate_audit_log  %%TESTDIR%%/audit.log;

    server {
        listen       127.0.0.1:8080 reuseport;
        server_name  localhost;

        tollgate on;
        location / {
            proxy_pass http://127.0.0.1:8081;
        }
    }
}

EOC

$t->write_file('keys.json', keys_file(
	map { { key => "key-$_", client => $_, tenant => 'corp', tier => 'pro' } } qw/acme globex/));
start_engine($t, 8081);
$t->run();

my $log = $t->testdir() . '/audit.log';
$ENV{TOLLGATE_AUDIT_LOG} = $log;

###############################################################################

my @ids;
for my $number (1 .. 20) {
	my $client = $number % 2 ? 'acme' : 'globex';
	my $response = complete(client => $client, model => $number % 5 ? 'priced' : 'free', input => 3, tokens => 4);
	push @ids, header($response, 'x-request-id') if status($response) == 200;
}
is(@ids, 20, 'requests');
is(status(complete(client => 'nobody')), 401, 'a wrong key');
audit_lines($t, 'audit.log', 21);

my ($status, $text) = run('show', $ids[6]);
is($status, 0, 'a request is found by its id');
like($text, qr/^request_id +\Q$ids[6]\E$/m, 'and shown');
like($text, qr/^client +acme$/m, 'with its client');
($status, $text) = run('show', '--json', $ids[6]);
is(JSON::PP->new->decode($text)->{request_id}, $ids[6], 'as JSON');
($status, $text) = run('show', '0123456789abcdef');
is($status, 1, 'another one is not');

rename $log, "$log.1" or die "Can't rename $log: $!\n";
kill 'USR1', $t->read_file('nginx.pid') =~ /(\d+)/ or die "Can't signal nginx: $!\n";
poll { -e $log };
is(status(complete(client => 'acme', model => 'priced')), 200, 'one more, in the new file');
audit_lines($t, 'audit.log', 1);
($status) = run('show', $ids[6]);
is($status, 1, 'that file does not have the old ones');
($status, $text) = run('show', '--rotated', $ids[6]);
is($status, 0, 'but what it was made of');
like($text, qr/audit\.log\.1, line \d+/, 'which is named');

($status, $text) = run('report', '--rotated', '--json', '--by', 'client,model', '--client', 'acme', '--since', '1h');
is($status, 0, 'a report');
my $report = JSON::PP->new->decode($text);
is(join(' ', sort map { "$_->{client}/$_->{model}:$_->{requests}" } @{$report->{groups}}),
	'acme/free:2 acme/priced:9', 'by two things');
is($report->{total}{unpriced}{requests}, 2, 'what has no price is marked');
is($report->{broken_lines}, 0, 'every line is known');
($status, $text) = run(qw/report --rotated --csv --by tenant --since yesterday/);
is($text =~ tr/\n//, 3, 'a row for the tenant, and one for who has none');

($status, $text) = run(qw/anomalies --rotated --json/);
is($status, 0, 'nothing is unusual');
is(JSON::PP->new->decode($text)->{requests}, 22, 'in all requests');

###############################################################################

# The status and what was printed.
sub run {
	my (@arguments) = @_;
	my $pid = open(my $output, '-|', $command, 'audit', @arguments) // die "Can't run the command: $!\n";
	local $/;
	my $text = <$output> // '';
	close $output;
	return ($? >> 8, $text);
}

###############################################################################

#!/usr/bin/perl

# Answers of real engines, recorded: cut anywhere, they reach the client as they are, and what is
# charged is what the engine said.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/keys_file status/;
use Tollgate::Client;
use Tollgate::Metered;

use JSON::PP qw//;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $vectors = $ENV{TOLLGATE_VECTORS} // "$FindBin::Bin/../../shared/vectors";
my @recordings = map { m!/(\w+)/([\w-]+)\.response\.http$! ? "$1/$2" : () }
	glob("$vectors/engines/*/*.response.http");
plan(skip_all => 'no vectors') unless @recordings;

# Those with a chunk that has nothing but usage.
my @hidden = grep { (recording($vectors, $_))[1] =~ /^data: \{"choices":\[\],/m } @recordings;

# How often each is served, cut in another way.
use constant ROUNDS => 12;

my $t = Test::Nginx->new()->has(qw/http proxy/)->plan(3 * @recordings + 2 * @hidden + 1);

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone  zone=tollgate:1m;
    tollgate_tier  large { tokens 100m/h; }

    tollgate_api_keys   keys.json;
    tollgate_audit_log  %%TESTDIR%%/audit.log;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        tollgate on;
        tollgate_engine     llamacpp;
        proxy_http_version  1.1;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /unbuffered/ {
            proxy_buffering  off;
            proxy_pass       http://127.0.0.1:8081/;
        }

        # Less than most events have.
        location /tight/ {
            proxy_buffer_size        512;
            proxy_buffers            2 512;
            proxy_busy_buffers_size  512;
            proxy_pass               http://127.0.0.1:8081/;
        }
    }
}

EOC

$t->write_file('keys.json', keys_file({ key => 'key-large', client => 'acme', tier => 'large' }));
$t->run_daemon(\&replay_daemon, port(8081), $vectors);
$t->run();
$t->waitforsocket('127.0.0.1:' . port(8081));

my %path = (
	chat => '/v1/chat/completions',
	completion => '/v1/completions',
	error => '/v1/chat/completions',
	messages => '/v1/messages',
	responses => '/v1/responses',
);

###############################################################################

for my $name (@recordings) {
	my ($kind) = $name =~ m!/([a-z]+)!;
	my $request = slurp("$vectors/engines/$name.request.json");
	my ($head, $body) = recording($vectors, $name);
	for my $place ('', qw!/unbuffered /tight!) {
		my %outcome = replay($t, "$place$path{$kind}", $request, $name);
		is_deeply(\%outcome, { expected($head, $body) => ROUNDS }, "$name $place")
			or diag(explain(\%outcome));
	}
}

cmp_ok(scalar(@hidden), '>', 0, 'there is something to hide');

# A client that hasn't asked for usage doesn't see it; all else it does.

for my $name (@hidden) {
	my ($kind) = $name =~ m!/([a-z]+)!;
	my $request = slurp("$vectors/engines/$name.request.json") =~ s/,"stream_options":\{[^}]*\}//r;
	my ($head, $body) = recording($vectors, $name);
	# The timings are where they are if nobody asks for usage.
	my $visible = $body =~ s/\}\n\ndata: \{"choices":\[\],[^\n]*?(,"timings":\{[^}]*\})?\}\n\n/$1}\n\n/r;
	my (undef, $said) = split / /, expected($head, $body), 2;
	for my $place ('', qw!/unbuffered!) {
		my %outcome = replay($t, "$place$path{$kind}", $request, $name, $visible);
		is_deeply(\%outcome, { "same $said" => ROUNDS }, "$name $place: hidden")
			or diag(explain(\%outcome));
	}
}

###############################################################################

# Has a recording served some times. What came of it, and how often.
sub replay {
	my ($t, $uri, $request, $name, $expected) = @_;
	$expected //= (recording($vectors, $name))[1];
	my %outcome;
	for my $seed (1 .. ROUNDS) {
		my ($r, $line) = ask_for($t, $uri, $request, 'X-API-Key: key-large', "X-Recording: $name",
			"X-Seed: $seed");
		my $bytes = (http_content($r) // '') eq $expected ? 'same' : 'other';
		$outcome{join ' ', $bytes, map { $line->{$_} // '-' }
			qw/usage input_tokens output_tokens cached_tokens/}++;
	}
	return %outcome;
}

# What should come of it: read in the simplest way.
sub expected {
	my ($head, $body) = @_;
	return 'same none - - -' if $head !~ m!^HTTP/1.1 200!;
	my %usage;
	for my $text ($head =~ /event-stream/ ? $body =~ /^data: (\{.*\})$/mg : $body) {
		my $json = JSON::PP->new->utf8->decode($text);
		my ($usage) = grep { ref } $json->{usage}, map { ref && $_->{usage} } @$json{qw/message response/};
		%usage = (%usage, %{$usage // {}});
	}
	my $details = $usage{prompt_tokens_details} // $usage{input_tokens_details} // {};
	my $cached = $details->{cached_tokens} // $usage{cache_read_input_tokens};
	my $input = $usage{prompt_tokens} // $usage{input_tokens};
	$input += $usage{cache_read_input_tokens} // 0 if defined $input;
	my $output = $usage{completion_tokens} // $usage{output_tokens};
	# llama.cpp says the usage of the first of several choices, which all ended at their bound.
	$output *= () = $body =~ /"finish_reason":"length"/g if $head !~ /event-stream/ && $body =~ /"choices":/;
	# The timings say it, too.
	if (!defined $input) {
		my ($cache, $prompt, $predicted) = $body =~ /"cache_n":(\d+),"prompt_n":(\d+).*"predicted_n":(\d+)/;
		return join ' ', 'same measured', $cache + $prompt, $predicted, $cache || '-';
	}
	return join ' ', 'same measured', $input, $output, $cached || '-';
}

sub recording {
	my ($vectors, $name) = @_;
	my ($head, $body) = slurp("$vectors/engines/$name.response.http") =~ /^(.*?)\r\n\r\n(.*)$/s;
	return ($head, $body);
}

sub slurp {
	my ($path) = @_;
	open my $file, '<:raw', $path or die "Can't open $path: $!\n";
	local $/;
	return scalar <$file>;
}

###############################################################################

# Serves the recording that X-Recording names, in chunks of random sizes.
sub replay_daemon {
	my ($port, $vectors) = @_;

	my $server = IO::Socket::INET->new(
		Proto => 'tcp',
		LocalAddr => "127.0.0.1:$port",
		Listen => 5,
		ReuseAddr => 1
	)
		or die "Can't create listening socket: $!\n";
	$SIG{PIPE} = 'IGNORE';

	while (my $client = $server->accept()) {
		$client->autoflush(1);
		my %header;
		while (<$client>) {
			last if /^\r?\n?$/;
			$header{lc $1} = $2 if /^([\w-]+): (.*?)\r?$/;
		}
		# None from waitforsocket().
		next unless defined $header{'x-recording'};
		read $client, my $request, $header{'content-length'};

		my ($head, $body) = recording($vectors, $header{'x-recording'});
		$head =~ s/\r\n(?:Content-Length|Transfer-Encoding|Keep-Alive|Connection):[^\r]*//gi;
		srand $header{'x-seed'};
		my $most = (1, 3, 20, 200, 2000)[rand 5];
		print $client "$head\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
		while (length $body) {
			my $piece = substr $body, 0, 1 + rand $most, '';
			printf $client "%x\r\n%s\r\n", length $piece, $piece;
		}
		print $client "0\r\n\r\n";
		close $client;
	}
}

###############################################################################

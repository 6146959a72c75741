/* The program of the training's containers. With an argument it ends at once. */
#include <unistd.h>

int main(int argc, char **argv)
{
	(void)argv;
	if (argc == 1)
		pause();
	return 0;
}
